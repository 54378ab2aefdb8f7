//! GetTelemetrySubscriptions and PushTelemetry: clients push their metrics (KIP-714).

use super::Request;
use crate::telemetry::{CODECS, ClientLabels, Push};
use crate::wire::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
    PushTelemetryResponse,
};

pub(super) async fn handle_get(
    request: Request<'_>,
    asked: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let (broker, telemetry) = (request.broker(), &request.context.telemetry);
    let subscriptions = &broker.metadata().client_metrics;
    let id = asked.client_instance_id;
    match telemetry.get(id, labels(&request), subscriptions, broker.now()) {
        // Lists are never null: librdkafka does not survive that.
        Ok((client_instance_id, wanted)) => GetTelemetrySubscriptionsResponse {
            client_instance_id,
            subscription_id: wanted.id,
            accepted_compression_types: CODECS.to_vec(),
            push_interval_ms: wanted.interval_ms,
            telemetry_max_bytes: i32::try_from(telemetry.bytes_max()).unwrap_or(i32::MAX),
            delta_temporality: true,
            requested_metrics: wanted.metrics,
            ..GetTelemetrySubscriptionsResponse::default()
        },
        Err(code) => GetTelemetrySubscriptionsResponse {
            error_code: code.number(),
            ..GetTelemetrySubscriptionsResponse::default()
        },
    }
}

pub(super) async fn handle_push(
    request: Request<'_>,
    asked: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let (broker, telemetry) = (request.broker(), &request.context.telemetry);
    let push = Push {
        subscription: asked.subscription_id,
        terminating: asked.terminating,
        codec: asked.compression_type,
        metrics: asked.metrics,
    };
    let subscriptions = &broker.metadata().client_metrics;
    let id = asked.client_instance_id;
    let outcome = telemetry.push(id, labels(&request), subscriptions, &push, broker.now());
    let error_code = outcome.err().map_or(0, |code| code.number());
    PushTelemetryResponse { error_code, ..PushTelemetryResponse::default() }
}

fn labels(request: &Request<'_>) -> ClientLabels {
    let context = request.context;
    let (name, version) = context.software.get().cloned().unwrap_or_default();
    let labels = ClientLabels {
        client_id: request.header.client_id.as_deref().unwrap_or_default().to_owned(),
        software_name: name,
        software_version: version,
        address: context.host.trim_start_matches('/').to_owned(),
        port: context.port.to_string(),
    };
    labels.bounded()
}
