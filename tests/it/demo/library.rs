//! The library of the simulated service: what it lists, and what its faults take away.

use forewarn::base::clock::{Clock, Timestamp};
use forewarn::demo::fault::Fault;
use serde_json::Value;

use super::{Demo, text};

/// The list's items as ids and ages in hours.
async fn list(demo: &Demo) -> Vec<(String, i64)> {
    let (status, body) = demo.ask("/api/library").await;
    assert_eq!(status, 200);
    let items = body["items"].as_array().unwrap().iter().map(|item: &Value| {
        assert_eq!(item["status"], "ready");
        assert!(!text(&item["title"]).is_empty());
        let created_at: Timestamp = text(&item["created_at"]).parse().unwrap();
        (text(&item["id"]).to_owned(), Clock::system().now().duration_since(created_at).as_hours())
    });
    items.collect()
}

async fn plays(demo: &Demo, id: &str) -> bool {
    let (status, item) = demo.ask(&format!("/api/library/{id}")).await;
    assert_eq!((status, text(&item["id"])), (200, id));
    let file = demo.client.get(text(&item["video"]["url"])).send().await.unwrap();
    super::files::streams(&file.bytes().await.unwrap()).await.is_ok()
}

#[tokio::test]
async fn what_was_saved_is_there_and_plays() {
    let demo = Demo::start().await;
    let items = list(&demo).await;
    assert!(items.is_sorted_by_key(|(_, hours)| *hours), "the newest first: {items:?}");
    assert_eq!((items[0].1, items.last().unwrap().1), (0, 30 * 24));
    for (id, _) in &items {
        assert!(plays(&demo, id).await, "{id}");
    }
    assert_eq!(demo.ask("/api/library/nothing").await.0, 404);
}

#[tokio::test]
async fn a_stale_library_lacks_the_last_day() {
    let demo = Demo::start().await;
    let job = demo.submit().await;
    demo.states(&job).await;
    let all = list(&demo).await;
    assert_eq!(all[0], (text(&job["request_id"]).to_owned(), 0));
    assert!(plays(&demo, &all[0].0).await);

    demo.on(Fault::LibraryStale);
    let stale = list(&demo).await;
    assert!(!stale.is_empty() && stale.iter().all(|(_, hours)| *hours >= 24), "{stale:?}");
    demo.on(Fault::LibraryEmpty);
    assert_eq!(list(&demo).await, []);
    demo.faults.clear();
    assert_eq!(list(&demo).await, all);
}

#[tokio::test]
async fn old_videos_are_damaged_and_new_ones_play() {
    let demo = Demo::start().await;
    demo.on(Fault::LibraryUnplayable);
    for (id, hours) in list(&demo).await {
        assert_eq!(plays(&demo, &id).await, hours < 24, "{id}");
    }
}
