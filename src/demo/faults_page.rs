//! `/faults`: the page and the API on which faults are switched. No fault ever hits it.
//!
//! The page works without JavaScript. It takes orders from this machine's user only: a form that another site posts
//! is refused. There is no sign-in, so the service belongs on loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::switch::Percent;
use super::fault::{Fault, Faults, Part, Row, TABLE};

/// The page, its style and script, and the API.
pub(super) fn router(faults: Arc<Faults>, address: SocketAddr, agent: Option<SocketAddr>) -> Router {
    let board = Board { faults, address, agent };
    Router::new()
        .route("/faults", get(page))
        .route("/faults.json", get(|State(board): State<Board>| async move { Json(board.to_json()) }))
        .route("/faults.css", get(|| async { file("text/css; charset=utf-8", include_str!("assets/faults.css")) }))
        .route("/faults.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("assets/faults.js")) }))
        .route("/faults/clear", post(clear))
        .route("/faults/{name}", post(switch))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(board.clone(), own_site_only))
        .with_state(board)
}

#[derive(Clone)]
struct Board {
    faults: Arc<Faults>,
    address: SocketAddr,
    agent: Option<SocketAddr>,
}

/// The form of one fault.
#[derive(Deserialize)]
struct Change {
    on: bool,
    percent: Option<String>,
}

impl Board {
    fn to_json(&self) -> Value {
        let faults: Vec<Value> = TABLE.iter().map(|row| self.fault_to_json(row)).collect();
        json!({"faults": faults})
    }

    fn fault_to_json(&self, row: &Row) -> Value {
        let state = self.faults.state(row.fault);
        json!({
            "name": row.name,
            "title": row.title,
            "about": row.about,
            "part": row.part.name(),
            "scope": row.scope.title(),
            "on": state.on,
            "percent": state.percent,
            "hits": state.hits,
        })
    }

    fn to_html(&self) -> String {
        let on = TABLE.iter().filter(|row| self.faults.state(row.fault).on).count();
        let parts: String = Part::ALL.iter().map(|part| self.part_to_html(*part)).collect();
        let agent = self
            .agent
            .map_or_else(String::new, |agent| format!("<a href=\"http://{agent}/metrics\">The agent’s metrics</a>"));
        let links: String = Part::ALL.iter().map(|part| link_to(*part)).collect();
        include_str!("assets/faults.html")
            .replace("<!-- parts -->", &parts)
            .replace("<!-- links -->", &links)
            .replace("<!-- agent -->", &agent)
            .replace("<!-- address -->", &format!("http://{}", self.address))
            .replace("<!-- summary -->", &summary(on))
            .replace("data-clear", if on == 0 { "data-clear disabled" } else { "data-clear" })
    }

    fn part_to_html(&self, part: Part) -> String {
        let rows: String = TABLE.iter().filter(|row| row.part == part).map(|row| self.fault_to_html(row)).collect();
        let (name, title) = (part.name(), part.title());
        format!(
            "<section aria-labelledby=\"part-{name}\"><h2 id=\"part-{name}\">{title}</h2><ul>{rows}</ul></section>\n"
        )
    }

    /// One fault as a form. Every text in it is one of ours, from the table.
    fn fault_to_html(&self, row: &Row) -> String {
        let state = self.faults.state(row.fault);
        let Row { name, title, about, .. } = row;
        let scope = row.scope.title();
        let options: String = percentages(state.percent).iter().map(|value| option(*value, state.percent)).collect();
        let (class, next, word) = if state.on { (" class=\"on\"", "false", "On") } else { ("", "true", "Off") };
        let apply = if state.on { "" } else { " hidden" };
        let hits = state.hits;
        format!(
            r#"<li id="{name}"{class}><form method="post" action="/faults/{name}">
<div class="what"><h3>{title}</h3><p>{about}</p></div>
<button class="switch" name="on" value="{next}" role="switch" aria-checked="{on}" aria-label="{title}"><span class="track"></span><span class="word">{word}</span></button>
<p class="how"><label><select name="percent" aria-label="“{title}” hits this share of {scope}">{options}</select> of {scope}</label>
<button class="apply" name="on" value="true"{apply}>Apply</button>
<span class="hits"><b>{hits}</b> so far</span></p>
</form></li>
"#,
            on = state.on,
        )
    }
}

fn link_to(part: Part) -> String {
    format!("<a href=\"#part-{}\">{}</a>", part.name(), part.title())
}

async fn page(State(board): State<Board>) -> Response {
    file("text/html; charset=utf-8", board.to_html())
}

/// Refuses requests that come from another site's page: its forms, its scripts, and its name for our address.
async fn own_site_only(State(board): State<Board>, request: Request, next: Next) -> Response {
    match foreign(request.headers(), board.address.ip().is_loopback()) {
        Some(why) => refuse(StatusCode::FORBIDDEN, &why),
        None => next.run(request).await,
    }
}

async fn switch(
    State(board): State<Board>,
    Path(name): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Change>, FormRejection>,
) -> Response {
    let fault: Fault = match name.parse() {
        Ok(fault) => fault,
        Err(error) => return refuse(StatusCode::NOT_FOUND, &error.to_string()),
    };
    let change = match form {
        Ok(Form(change)) => change,
        Err(error) => {
            return refuse(error.status(), &format!("expected the form `on=true|false&percent=1..100`: {error}"));
        }
    };
    let percent: Option<Percent> = match change.percent.map(|text| text.parse()).transpose() {
        Ok(percent) => percent,
        Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    board.faults.switch(fault, change.on, percent);
    done(&board, &headers, &format!("/faults#{name}"))
}

async fn clear(State(board): State<Board>, headers: HeaderMap) -> Response {
    board.faults.clear();
    done(&board, &headers, "/faults")
}

/// Back to the page for a form; the new state for a program.
fn done(board: &Board, headers: &HeaderMap, page: &str) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.starts_with("application/json") {
        return Json(board.to_json()).into_response();
    }
    Redirect::to(page).into_response()
}

/// Why a request is another site's doing, if it is.
///
/// `loopback`: the service listens there only, so the host must be an address or `localhost`, so that a name that an attacker points at 127.0.0.1 (DNS
/// rebinding) is no key.
fn foreign(headers: &HeaderMap, loopback: bool) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let host = text(header::HOST).unwrap_or_default();
    if loopback && !is_local(host) {
        return Some(format!("the host `{}` is not this machine; open the page by its address", shown(host)));
    }
    let origin = text(header::ORIGIN)?;
    if origin.strip_prefix("http://") == Some(host) || origin.strip_prefix("https://") == Some(host) {
        return None;
    }
    Some(format!("a page of `{}` may not switch faults here", shown(origin)))
}

fn is_local(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

fn shown(text: &str) -> String {
    crate::base::bounded::printable(text, 80)
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}

fn file(content_type: &'static str, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text.into()).into_response()
}

fn summary(on: usize) -> String {
    match on {
        0 => "All is well: no fault is on.".to_owned(),
        1 => "One fault is on.".to_owned(),
        _ => format!("{on} faults are on."),
    }
}

/// The choices offered, and the one in force when it came from a program.
fn percentages(current: Percent) -> Vec<u8> {
    let mut offered = vec![100, 50, 25, 10, 5, 1];
    if !offered.contains(&current.get()) {
        offered.push(current.get());
        offered.sort_unstable_by(|a, b| b.cmp(a));
    }
    offered
}

fn option(value: u8, current: Percent) -> String {
    let selected = if value == current.get() { " selected" } else { "" };
    format!("<option value=\"{value}\"{selected}>{value} %</option>")
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// A change is two short fields.
const LARGEST_BODY: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str, origin: Option<&str>, loopback: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        foreign(&headers, loopback).is_none()
    }

    #[test]
    fn only_the_own_site_may_switch() {
        assert!(verdict("127.0.0.1:8080", None, true));
        assert!(verdict("127.0.0.1:8080", Some("http://127.0.0.1:8080"), true));
        assert!(verdict("localhost:8080", Some("http://localhost:8080"), true));
        assert!(verdict("[::1]:8080", Some("http://[::1]:8080"), true));
        for origin in ["http://evil.example", "http://127.0.0.1:9999", "null", "", "http://127.0.0.1:8080.evil.example"]
        {
            assert!(!verdict("127.0.0.1:8080", Some(origin), true), "{origin}");
        }
    }

    #[test]
    fn a_strange_name_for_our_address_is_no_key() {
        for host in ["evil.example:8080", "evil.example", "", "localhost.evil.example", "10.0.0.1:8080"] {
            assert!(!verdict(host, None, true), "{host}");
        }
        assert!(verdict("demo.internal:8080", Some("http://demo.internal:8080"), false));
        assert!(!verdict("demo.internal:8080", Some("http://evil.example"), false));
    }

    #[test]
    fn a_percentage_set_by_a_program_is_offered_too() {
        assert_eq!(percentages("50".parse().unwrap()), [100, 50, 25, 10, 5, 1]);
        assert_eq!(percentages("33".parse().unwrap()), [100, 50, 33, 25, 10, 5, 1]);
    }
}
