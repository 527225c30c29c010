//! `POST /v1/batch`: a session's frames in one body, for a page that goes away. Each frame is preceded by
//! its length as a varint, in both directions.

use super::intake::Intake;
use crate::relay::Relay;
use crate::sessions::Arrival;
use bytes::{Buf as _, Bytes};
use prost::encoding::{decode_varint, encode_varint};
use std::sync::Arc;

/// Takes the frames of `body`; the answer is the relay's frames.
pub(crate) async fn batch(relay: Arc<Relay>, mut body: Bytes) -> Vec<u8> {
    let mut answer = Vec::new();
    let Some(hello) = next(&mut body) else { return answer };
    match Intake::open(Arc::clone(&relay), &hello, Arrival::Request).await {
        Ok((mut intake, welcome)) => {
            push(&mut answer, &welcome);
            while let Some(frame) = next(&mut body) {
                match intake.receive(&frame).await {
                    Ok(Some(reply)) => push(&mut answer, &reply),
                    Ok(None) => {}
                    Err(refusal) => {
                        relay.metrics.bad_input("frame").inc();
                        push(&mut answer, &refusal.frame());
                        break;
                    }
                }
            }
            if let Some(ack) = intake.drain().await {
                push(&mut answer, &ack);
            }
            intake.close().await;
        }
        Err(refusal) => {
            relay.metrics.bad_input("frame").inc();
            push(&mut answer, &refusal.frame());
        }
    }
    answer
}

/// The next frame; a length beyond the body ends it.
fn next(body: &mut Bytes) -> Option<Bytes> {
    if !body.has_remaining() {
        return None;
    }
    let len = usize::try_from(decode_varint(body).ok()?).ok()?;
    (len <= body.len()).then(|| body.split_to(len))
}

fn push(answer: &mut Vec<u8>, frame: &Bytes) {
    encode_varint(frame.len() as u64, answer);
    answer.extend_from_slice(frame);
}
