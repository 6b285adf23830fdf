//! The simulated service, seen from outside: what each fault does on the wire, and how faults are switched.

mod files;
mod library;
mod queue;
mod switching;
mod web;

use std::sync::Arc;

use forewarn::demo::fault::{Fault, Faults};
use forewarn::demo::service::Service;
use forewarn::demo::variables;
use reqwest::{Client, RequestBuilder, header};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Demo {
    service: Service,
    faults: Arc<Faults>,
    client: Client,
}

impl Demo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faults = Arc::new(Faults::default());
        let service = Service::start(listener, Arc::clone(&faults), None).unwrap();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { service, faults, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address())
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// Adds the key that the demo tells its probes.
    fn keyed(&self, request: RequestBuilder) -> RequestBuilder {
        let known = variables(self.service.address());
        let (_, key) = known.iter().find(|(name, _)| *name == "REVERIE_KEY").unwrap();
        request.header(header::AUTHORIZATION, format!("Key {key}"))
    }

    /// Asks with the key for what is JSON; `address` is a path or a whole URL.
    async fn ask(&self, address: &str) -> (u16, Value) {
        let url = if address.starts_with('/') { self.url(address) } else { address.to_owned() };
        read(self.keyed(self.client.get(url))).await
    }

    /// Submits a job, which must be accepted.
    async fn submit(&self) -> Value {
        let request = self.client.post(self.url("/queue/reverie/text-to-video")).body(r#"{"prompt":"a red kite"}"#);
        let (status, job) = read(self.keyed(request)).await;
        assert_eq!((status, &job["status"]), (200, &"IN_QUEUE".into()), "{job}");
        job
    }

    /// Waits until a job has ended, and gives back its states in order, each once.
    async fn states(&self, job: &Value) -> Vec<String> {
        let stream = self.keyed(self.client.get(format!("{}/stream", text(&job["status_url"])))).send().await.unwrap();
        assert_eq!(content_type(&stream), "text/event-stream");
        let stream = stream.text().await.unwrap();
        let events = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let mut states: Vec<String> =
            events.map(|event| text(&serde_json::from_str::<Value>(event).unwrap()["status"]).to_owned()).collect();
        states.dedup();
        states
    }

    /// The credits, as they are written.
    async fn balance(&self) -> String {
        self.ask("/api/billing").await.1["credits"]["current_balance"].to_string()
    }

    async fn sign_in(&self, password: &str) -> reqwest::Response {
        let form = format!("email=ada%40reverie.example&password={}", password.replace(' ', "+"));
        self.form("/login", form).send().await.unwrap()
    }

    async fn account(&self) -> reqwest::Response {
        self.client.get(self.url("/api/me")).bearer_auth("rv_7f3a91c04e").send().await.unwrap()
    }

    fn form(&self, path: &str, form: impl Into<reqwest::Body>) -> RequestBuilder {
        let kind = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.client.post(self.url(path)).header(kind.0, kind.1).body(form)
    }

    async fn order(&self, path: &str, form: &'static str) -> reqwest::Response {
        self.form(path, form).send().await.unwrap()
    }

    fn on(&self, fault: Fault) {
        self.faults.switch(fault, true, None);
    }

    /// Sends one request by hand, and reads until the server ends the connection.
    async fn raw(&self, path: &str) -> (String, std::io::Result<usize>) {
        let (answer, end) = self.raw_bytes(path).await;
        (String::from_utf8(answer).unwrap(), end)
    }

    async fn raw_bytes(&self, path: &str) -> (Vec<u8>, std::io::Result<usize>) {
        let mut stream = TcpStream::connect(self.service.address()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        (answer, end)
    }
}

async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{status} {error}: {body}")))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn content_type(answer: &reqwest::Response) -> &str {
    answer.headers()[header::CONTENT_TYPE].to_str().unwrap()
}
