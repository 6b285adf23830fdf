//! What a request gets that a fault has hit: the faults on the wire.
//!
//! Which requests are hit is decided by [`super::fault`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, stream};

use super::fault::{Fault, Faults, Occasion};
use super::{backend, web};
use crate::base::serve::Reset;

/// How late a slow answer comes.
pub const DELAY: Duration = Duration::from_secs(3);

/// The layer around everything that faults may hit: answers hit requests, and lets the others through.
pub(super) async fn strike(
    State(faults): State<Arc<Faults>>,
    Extension(reset): Extension<Reset>,
    request: Request,
    next: Next,
) -> Response {
    for fault in faults.strike(Occasion::Request(request.method(), request.uri().path())) {
        match fault {
            Fault::Slow => tokio::time::sleep(DELAY).await,
            Fault::Reset => match reset.now().await {},
            Fault::Hang => {
                tokio::time::sleep(HANG).await;
                match reset.now().await {}
            }
            Fault::Truncated => return cut_short(next.run(request).await).await,
            Fault::Unavailable => return unavailable(),
            Fault::RateLimited => return rate_limited(),
            Fault::RedirectLoop => return redirect(request.uri().path()),
            Fault::AuthRefused => return web::refuse("this account cannot sign in right now"),
            Fault::WrongBody => return (no_store(), Html(include_str!("assets/maintenance.html"))).into_response(),
            Fault::JavascriptError => return (no_store(), Html(web::home())).into_response(),
            Fault::KeyRefused => return backend::refuse("No account found for this key"),
            // The others hit jobs, links and lists, never a request.
            _ => {}
        }
    }
    next.run(request).await
}

/// The same answer with its whole length announced, half its body sent, and then the end of the connection.
async fn cut_short(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let sent = stream::once(async { Ok::<Bytes, io::Error>(half) });
    let end = stream::once(async {
        // Gives the server one turn to send what it has, because an error throws that away.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut short on purpose"))
    });
    Response::from_parts(head, Body::from_stream(sent.chain(end)))
}

fn unavailable() -> Response {
    let page = Html(include_str!("assets/unavailable.html"));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], no_store(), page).into_response()
}

fn rate_limited() -> Response {
    let error = axum::Json(serde_json::json!({"error": "too many requests; try again in 30 seconds"}));
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "30")], no_store(), error).into_response()
}

/// As after a bad deploy of sessions: the page wants a sign-in, the sign-in page finds one and sends back.
fn redirect(path: &str) -> Response {
    let to = if path == "/login" { "/" } else { "/login" };
    (StatusCode::FOUND, [(header::LOCATION, to)], no_store()).into_response()
}

fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}

/// A client that waits longer than this is reset, so that forgotten ones do not use up the places.
const HANG: Duration = Duration::from_secs(600);
/// No page of the service is larger.
const LARGEST_BODY: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tokio::time::{Instant, timeout};
    use tower_service::Service;

    /// Asks a service of one page, without a socket, so that time can be paused.
    async fn ask(faults: &[Fault]) -> Response {
        let switches = Arc::new(Faults::default());
        for fault in faults {
            switches.switch(*fault, true, None);
        }
        let mut router = Router::new()
            .route("/", get(|| async { "the page" }))
            .layer(middleware::from_fn_with_state(switches, strike))
            .layer(Extension(Reset::default()));
        router.call(Request::new(Body::empty())).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_answers_rightly_and_late() {
        let start = Instant::now();
        let answer = ask(&[Fault::Slow]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "the page");
        assert_eq!(start.elapsed().as_secs(), DELAY.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_delays_what_answers_instead() {
        let start = Instant::now();
        assert_eq!(ask(&[Fault::Unavailable, Fault::Slow]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(start.elapsed().as_secs(), DELAY.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn hang_outlasts_every_patience() {
        assert!(timeout(HANG * 10, ask(&[Fault::Hang])).await.is_err());
    }
}
