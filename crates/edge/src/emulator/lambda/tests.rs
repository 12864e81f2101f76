use super::*;

async fn start(code: &str, event: EventType, config: &Config) -> Result<Arc<Lambda>, LambdaStartError> {
    let function = Function::lambda("mine", code);
    Lambda::start(&function, event, config, Arc::new(Random::new(1, 1))).await.map(Arc::new)
}

fn texts(invoked: &Invoked) -> Vec<&str> {
    invoked.lines.iter().map(|line| line.text.trim_end()).collect()
}

#[tokio::test]
async fn environments_stay_warm_and_log_as_lambda_does() {
    let code = "let calls = 0; console.log('init'); export const handler = async (event, context) => { console.log('call', ++calls, process.env.AWS_REGION, typeof context.getRemainingTimeInMillis()); return { calls, event }; };";
    let lambda = start(code, EventType::OriginRequest, &Config::default()).await.expect("it loads");
    let first = lambda.invoke(json!({"a": 1})).await;
    assert_eq!(first.result, Ok(json!({"calls": 1, "event": {"a": 1}})));
    let lines = texts(&first);
    assert!(lines[0].starts_with("INIT_START") && lines[1].starts_with("START RequestId: "), "{lines:?}");
    assert!(lines[2].ends_with("\tINFO\tcall 1 eu-central-1 number"), "{lines:?}");
    assert!(lines[3].starts_with("END RequestId: ") && lines[4].contains("\tInit Duration: "), "{lines:?}");
    assert_eq!(first.lines[0].group, "/aws/lambda/us-east-1.mine");
    let second = lambda.invoke(json!(null)).await;
    assert_eq!(second.result, Ok(json!({"calls": 2, "event": null})), "the same environment");
    assert!(texts(&second)[0].starts_with("START ") && !texts(&second)[3].contains("Init Duration"));
    assert_eq!(first.lines[0].stream, second.lines[0].stream);
}

#[tokio::test]
async fn a_function_that_fails_says_why_and_its_environment_stays() {
    let code = "let calls = 0; export async function handler() { calls++; if (calls === 1) throw new TypeError('broken'); return calls; }";
    let lambda = start(code, EventType::ViewerRequest, &Config::default()).await.expect("it loads");
    let failed = lambda.invoke(json!({})).await;
    assert_eq!(failed.result, Err(LambdaError::Failed("TypeError: broken".to_owned())));
    assert!(texts(&failed).iter().any(|line| line.contains("\tERROR\tInvoke Error\t")), "{:?}", texts(&failed));
    assert_eq!(lambda.invoke(json!({})).await.result, Ok(json!(2)));
}

#[tokio::test]
async fn what_takes_too_long_or_ends_itself_loses_its_environment() {
    let code = "let calls = 0; export const handler = async (event) => { calls++; if (event.exit) process.exit(0); if (event.endless) for (;;) {} return calls; };";
    let function = Function::lambda("mine", code);
    let random = Arc::new(Random::new(1, 1));
    let lambda = Lambda::start(&function, EventType::ViewerRequest, &Config::default(), random).await;
    let lambda = Arc::new(lambda.expect("it loads").limited_to(Duration::from_millis(400)));
    assert_eq!(lambda.invoke(json!({})).await.result, Ok(json!(1)));
    let late = lambda.invoke(json!({"endless": true})).await;
    assert_eq!(late.result, Err(LambdaError::TimeLimit(Duration::from_millis(400))));
    assert!(texts(&late).iter().any(|line| line.ends_with("Task timed out after 0.40 seconds")), "{:?}", texts(&late));
    assert_eq!(lambda.invoke(json!({"exit": true})).await.result, Err(LambdaError::Exited));
    assert!(lambda.idle.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn handlers_with_callbacks_and_common_js_run() {
    let function = Function {
        runtime: Runtime::LambdaCommonJs,
        ..Function::lambda("mine", "exports.handler = (event, context, callback) => callback(null, event.n + 1);")
    };
    let random = Arc::new(Random::new(1, 1));
    let lambda = Lambda::start(&function, EventType::ViewerRequest, &Config::default(), random).await;
    assert_eq!(Arc::new(lambda.expect("it loads")).invoke(json!({"n": 1})).await.result, Ok(json!(2)));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let config = Config::default();
    let error = start("export const other = 1;", EventType::ViewerRequest, &config).await.expect_err("no handler");
    assert_eq!(error, LambdaStartError::Load("index.handler is undefined or not exported".to_owned()));
    let error = start("export const handler = (;", EventType::ViewerRequest, &config).await.expect_err("no module");
    assert!(matches!(&error, LambdaStartError::Load(reason) if reason.contains("Unexpected token")), "{error}");
    let config = Config { node: "/nowhere/node".into(), ..config };
    let error = start("export const handler = () => 1;", EventType::ViewerRequest, &config).await.expect_err("no Node");
    assert!(error.to_string().contains("need Node.js 20 or later: /nowhere/node cannot be run"), "{error}");
}
