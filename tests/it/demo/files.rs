//! The files of the simulated service: links, ranges, and each defect as a client and a player see it.

use std::io;
use std::process::Stdio;

use forewarn::demo::fault::Fault;
use reqwest::{Response, StatusCode, header};
use tokio::process::Command;
use tokio::time::Instant;

use super::{Demo, content_type, text};

/// A fresh link to a saved clip; faults of files take hold here.
async fn link(demo: &Demo) -> String {
    let (status, item) = demo.ask("/api/library/dusk-kite").await;
    assert_eq!(status, 200, "{item}");
    text(&item["video"]["url"]).to_owned()
}

async fn fetch(demo: &Demo, url: &str, headers: &[(header::HeaderName, &str)]) -> Response {
    let request = headers.iter().fold(demo.client.get(url), |request, (name, value)| request.header(name, *value));
    request.send().await.unwrap()
}

/// What ffprobe finds in a file that it decodes to the end: `codec,kind[,width,height],duration` of each stream. An
/// error when it does not play, or not without errors.
pub(super) async fn streams(file: &[u8]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    std::fs::write(&path, file).unwrap();
    let fields = "stream=codec_name,codec_type,width,height,duration";
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-count_frames", "-show_entries", fields, "-of", "csv=p=0"]);
    let output = ffprobe.arg(&path).stdin(Stdio::null()).output().await.expect("ffprobe runs; see tests/run");
    let errors = String::from_utf8(output.stderr).unwrap();
    if !output.status.success() || !errors.is_empty() {
        return Err(errors);
    }
    Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// The code and message of a store's error.
async fn denial(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(content_type(&answer), "application/xml");
    let body = answer.text().await.unwrap();
    let field = |name: &str| body.split(&format!("<{name}>")).nth(1).unwrap().split('<').next().unwrap().to_owned();
    (status, format!("{}: {}", field("Code"), field("Message")))
}

#[tokio::test]
async fn a_healthy_file_plays_and_comes_in_parts() {
    let demo = Demo::start().await;
    let url = link(&demo).await;
    let whole = fetch(&demo, &url, &[]).await;
    assert_eq!((whole.status(), content_type(&whole)), (StatusCode::OK, "video/mp4"));
    assert_eq!(whole.headers()[header::ACCEPT_RANGES], "bytes");
    let etag = whole.headers()[header::ETAG].to_str().unwrap().to_owned();
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(streams(&bytes).await.unwrap(), ["h264,video,192,108,5.000000"]);

    let total = bytes.len();
    for (range, part) in [("bytes=0-99", 0..100), ("bytes=-7", total - 7..total), ("bytes=28000-", 28000..total)] {
        for condition in [None, Some((header::IF_RANGE, etag.as_str()))] {
            let headers: Vec<_> = condition.into_iter().chain([(header::RANGE, range)]).collect();
            let answer = fetch(&demo, &url, &headers).await;
            assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
            let stated = format!("bytes {}-{}/{total}", part.start, part.end - 1);
            assert_eq!(answer.headers()[header::CONTENT_RANGE], stated.as_str());
            assert_eq!(answer.bytes().await.unwrap(), bytes[part.clone()]);
        }
    }
    let stale = fetch(&demo, &url, &[(header::RANGE, "bytes=0-99"), (header::IF_RANGE, "\"old\"")]).await;
    assert_eq!((stale.status(), stale.bytes().await.unwrap().len()), (StatusCode::OK, total));
    let outside = fetch(&demo, &url, &[(header::RANGE, "bytes=99999-")]).await;
    assert_eq!(outside.headers()[header::CONTENT_RANGE], format!("bytes */{total}").as_str());
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn a_link_is_good_as_it_was_given_and_for_get_only() {
    let demo = Demo::start().await;
    let url = link(&demo).await;
    let mismatch =
        "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided.";
    for changed in [url.replace("expires=", "expires=9"), url.replace("dusk", "dawn"), format!("{url}0")] {
        assert_eq!(denial(fetch(&demo, &changed, &[]).await).await, (403, mismatch.to_owned()), "{changed}");
    }
    let bare = url.split('?').next().unwrap();
    assert_eq!(denial(fetch(&demo, bare, &[]).await).await, (403, "AccessDenied: Access Denied".to_owned()));
    let head = demo.client.head(&url).send().await.unwrap();
    assert_eq!((head.status(), content_type(&head)), (StatusCode::FORBIDDEN, "application/xml"));
}

#[tokio::test]
async fn an_expired_link_says_so() {
    let demo = Demo::start().await;
    demo.on(Fault::LinkExpired);
    let url = link(&demo).await;
    demo.faults.clear();
    let expired = (403, "AccessDenied: Request has expired".to_owned());
    assert_eq!(denial(fetch(&demo, &url, &[]).await).await, expired);
    assert_eq!(fetch(&demo, &link(&demo).await, &[]).await.status(), 200);
}

#[tokio::test]
async fn each_defect_is_a_well_sent_file_that_is_not_well() {
    let demo = Demo::start().await;
    let healthy = fetch(&demo, &link(&demo).await, &[]).await.bytes().await.unwrap();
    for (fault, found) in [
        (Fault::NotPlayable, Err("moov atom not found")),
        (Fault::CutFile, Err("partial file")),
        (Fault::AudioOnly, Ok("aac,audio,5.000000")),
        (Fault::BlackVideo, Ok("h264,video,192,108,5.000000")),
        (Fault::HtmlFile, Err("Invalid data found")),
        (Fault::EmptyFile, Err("Invalid data found")),
    ] {
        demo.on(fault);
        let (_, item) = demo.ask("/api/library/dusk-kite").await;
        demo.faults.clear();
        let answer = fetch(&demo, text(&item["video"]["url"]), &[]).await;
        assert_eq!((answer.status(), content_type(&answer)), (StatusCode::OK, "video/mp4"), "{fault:?}");
        let stated: usize = answer.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(stated, bytes.len(), "{fault:?} is not broken in transfer");
        assert_ne!(bytes, healthy);
        assert_eq!(item["video"]["file_size"], healthy.len(), "the API knows nothing of it");
        match (streams(&bytes).await, found) {
            (Ok(streams), Ok(expected)) => assert_eq!(streams, [expected], "{fault:?}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{fault:?}: {error}"),
            (streams, _) => panic!("{fault:?}: {streams:?}"),
        }
    }
    demo.on(Fault::EmptyFile);
    let nothing = fetch(&demo, &link(&demo).await, &[(header::RANGE, "bytes=0-99")]).await;
    assert_eq!(
        (nothing.status().as_u16(), &nothing.headers()[header::CONTENT_RANGE]),
        (416, &"bytes */0".parse().unwrap())
    );
}

#[tokio::test]
async fn a_broken_transfer_is_reset_in_the_middle() {
    let demo = Demo::start().await;
    let healthy = fetch(&demo, &link(&demo).await, &[]).await.bytes().await.unwrap();
    demo.on(Fault::BrokenTransfer);
    let url = link(&demo).await;
    let path = url.strip_prefix(&demo.url("")).unwrap();
    let (answer, end) = demo.raw_bytes(path).await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let length = format!("content-length: {}", healthy.len());
    assert!(String::from_utf8_lossy(&answer[..head]).contains(&length));
    assert_eq!(answer[head..], healthy[..healthy.len() / 2]);
}

#[tokio::test]
async fn a_slow_drip_is_whole_and_slow() {
    let demo = Demo::start().await;
    demo.on(Fault::SlowDrip);
    let start = Instant::now();
    let answer = fetch(&demo, &link(&demo).await, &[(header::RANGE, "bytes=0-2047")]).await;
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.bytes().await.unwrap().len(), 2048);
    // Two kilobytes at four a second; how long the whole takes is a test beside the code, where time can be paused.
    assert!(start.elapsed().as_millis() >= 500, "{:?}", start.elapsed());
}

#[tokio::test]
async fn no_ranges_sends_the_whole() {
    let demo = Demo::start().await;
    demo.on(Fault::NoRanges);
    let answer = fetch(&demo, &link(&demo).await, &[(header::RANGE, "bytes=0-99")]).await;
    assert_eq!((answer.status(), answer.headers().get(header::ACCEPT_RANGES)), (StatusCode::OK, None));
    assert!(streams(&answer.bytes().await.unwrap()).await.is_ok());
}

#[tokio::test]
async fn pieces_are_pieces_of_one_file() {
    let demo = Demo::start().await;
    demo.faults.switch(Fault::BlackVideo, true, Some("50".parse().unwrap()));
    for is_black in [true, false, true] {
        let url = link(&demo).await;
        let mut file = Vec::new();
        for range in ["bytes=0-999", "bytes=1000-1999", "bytes=2000-"] {
            file.extend(fetch(&demo, &url, &[(header::RANGE, range)]).await.bytes().await.unwrap());
        }
        assert!(streams(&file).await.is_ok());
        assert_eq!(file.len() < 8_000, is_black);
    }
}
