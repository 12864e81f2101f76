//! Cancelling, failing, waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::response::IntoResponse;
use http::StatusCode;

use super::Queries;
use crate::limits::CONCURRENT_QUERIES;
use crate::testing::store;

#[tokio::test]
async fn a_client_that_goes_away_stops_its_query() {
    let queries = Arc::new(Queries::new(store()));
    let (started, start) = tokio::sync::oneshot::channel();
    let (stopped, stop) = tokio::sync::oneshot::channel();
    let query = queries.run(move |scope| {
        started.send(()).expect("the test waits");
        while !scope.limits.cancel.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        stopped.send(()).expect("the test waits");
        Ok(())
    });
    tokio::select! {
        _ = query => panic!("the query ends only when it is cancelled"),
        result = start => result.expect("the query starts"),
    }
    stop.await.expect("the query was told to stop");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_gives_the_turn_back() {
    let queries = Arc::new(Queries::new(store()));
    for _ in 0..=CONCURRENT_QUERIES {
        let error = queries.run(|_| -> Result<(), _> { panic!("a defect") }).await.expect_err("panicked");
        assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn when_no_turn_comes_the_answer_is_to_try_again() {
    let queries = Arc::new(Queries { queue_wait: Duration::ZERO, ..Queries::new(store()) });
    let all = u32::try_from(CONCURRENT_QUERIES).expect("a few");
    let held = Arc::clone(&queries.turns).acquire_many_owned(all).await.expect("never closed");
    let response = queries.run(|_| Ok(())).await.expect_err("no turn").into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    drop(held);
    assert!(queries.run(|_| Ok(())).await.is_ok());
}
