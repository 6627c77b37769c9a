//! The layers together, around a small service, as clients see them.

mod browsers;
mod calls;
mod connections;
mod ends;
mod log;
mod support;
#[cfg(test)]
mod bench_tmp {
    use super::support::*;
    use crate::config::settings::Settings;
    use crate::transport::{drain::Drain, layers};
    use tower::{Service, ServiceExt};
    use http::{Request, Response};
    use tonic::body::Body;
    use http_body_util::BodyExt;
    fn ok() -> impl Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible, Future: Send> + Clone + Send + 'static {
        tower::service_fn(|_r: Request<Body>| async move { Ok(tonic::Status::ok("").into_http::<Body>()) })
    }
    async fn time<S, B>(name: &str, service: S) where S: Service<Request<Body>, Response = Response<B>, Error = std::convert::Infallible> + Clone, B: http_body::Body + Unpin, B::Error: std::fmt::Debug {
        let n = 300_000;
        for _ in 0..2 {
        let began = std::time::Instant::now();
        for _ in 0..n {
            let r = service.clone().oneshot(with_message(grpc(CHECK))).await.unwrap();
            let _ = r.into_body().collect().await.unwrap();
        }
        eprintln!("{name}: {:?} per call", began.elapsed() / n);
        }
    }
    #[tokio::test]
    #[ignore]
    async fn bench() {
        let s = Settings::default();
        time("bare", ok()).await;
        time("layers, no subscriber", layers(ok(), &s.limits, &[], Drain::new())).await;
        time("uuid", tower::service_fn(|_r: Request<Body>| async move { let id = uuid::Uuid::now_v7(); std::hint::black_box(id); Ok::<_, std::convert::Infallible>(tonic::Status::ok("").into_http::<Body>()) })).await;
        time("uuid4", tower::service_fn(|_r: Request<Body>| async move { let id = uuid::Uuid::new_v4(); std::hint::black_box(id); Ok::<_, std::convert::Infallible>(tonic::Status::ok("").into_http::<Body>()) })).await;
        for (name, filter, json) in [("json info", "info", true), ("text info", "info", false), ("json warn", "warn", true)] {
            let b = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink);
            let _g = if json { tracing::subscriber::set_default(b.json().finish()) } else { tracing::subscriber::set_default(b.finish()) };
            tracing::callsite::rebuild_interest_cache();
            time(name, layers(ok(), &s.limits, &[], Drain::new())).await;
        }
    }
}
