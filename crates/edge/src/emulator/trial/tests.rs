use super::*;
use crate::build;
use crate::settings::Settings;

async fn try_code(code: &str, event: EventType) -> Vec<Trial> {
    let function = Function::cloudfront("mine", code);
    run(&function, event, &events(Runtime::CloudFront, event)).await.expect("it loads")
}

#[tokio::test]
async fn our_own_functions_pass_on_every_built_in_event() {
    let settings = Settings::parse("response: {server_timing: true}").expect("valid settings");
    let mut tried = 0;
    for built in build::all(&settings).expect("within the limits") {
        let Some((name, extension)) = built.file_name.split_once('.') else { continue };
        let Some(event) = EventType::ALL.into_iter().find(|event| event.name() == name) else { continue };
        let function = match extension {
            "js" => Function::cloudfront(name, built.code),
            "mjs" => Function::lambda(name, built.code),
            _ => continue,
        };
        let events = events(function.runtime, event);
        assert_eq!(events.len(), 2, "{name}");
        for trial in run(&function, event, &events).await.expect("it loads") {
            assert_eq!(trial.verdict, Verdicts::Continues, "{}", built.file_name);
            let changed = |name: &str| trial.changes.iter().any(|(path, ..)| path.starts_with(name));
            // The events for Lambda@Edge have been through viewer-request: there the same ids are written again.
            let is_first = function.runtime == Runtime::CloudFront && !event.has_response();
            assert!(changed("headers.traceparent") || !is_first, "{trial}");
            tried += 1;
        }
    }
    assert_eq!(tried, 10);
}

#[tokio::test]
async fn what_cloudfront_would_refuse_is_named_with_the_rule() {
    let code = "function handler(event) { event.request.headers['x-edge-mine'] = {value: '1'}; console.log('seen'); return event.request; }";
    let trial = &try_code(code, EventType::ViewerRequest).await[0];
    let reason = "it tried to add the disallowed header x-edge-mine".to_owned();
    assert_eq!(trial.verdict, Verdicts::Fails { status: 502, reason });
    assert_eq!(trial.console, ["seen"]);
    assert_eq!(trial.changes, [("headers.x-edge-mine.value".to_owned(), None, Some("1".to_owned()))]);
    assert!(trial.to_string().contains("  CloudFront answers 502: it tried to add"), "{trial}");
    assert_eq!((&trial.to_json()["outcome"], &trial.to_json()["status"]), (&json!("fails"), &json!(502)));

    let trial = &try_code("function handler() { throw new Error('broken'); }", EventType::ViewerResponse).await[1];
    assert!(matches!(&trial.verdict, Verdicts::Fails { status: 503, reason } if reason.contains("broken")));
    let trial = &try_code("function handler() { return {statusCode: 403}; }", EventType::ViewerRequest).await[0];
    assert!(trial.verdict == Verdicts::Responds { status: 403 } && !trial.is_failure());
}

#[tokio::test]
async fn an_event_of_the_other_kind_is_refused() {
    let function = Function::cloudfront("mine", "function handler(event) { return event.request; }");
    let others = events(Runtime::LambdaModule, EventType::ViewerRequest);
    let error = run(&function, EventType::ViewerRequest, &others).await.expect_err("another shape");
    assert!(error.to_string().starts_with("event 0 is none for viewer-request: it has another eventType"), "{error}");
    let error = run(&function, EventType::ViewerRequest, &[json!(7)]).await.expect_err("no event");
    assert!(error.to_string().starts_with("event 0"), "{error}");
}
