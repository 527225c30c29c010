//! `POST /v1/batch`: a session's frames in one body, for a page that goes away. Each frame is preceded by
//! its length as a varint, in both directions.

use super::intake::{Intake, Refusal};
use crate::relay::Relay;
use crate::sessions::Arrival;
use atomwire_wire::relay::Violation;
use bytes::{Buf as _, Bytes};
use prost::encoding::{decode_varint, encode_varint};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a request waits for room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the frames of `body`; the answer is the relay's frames, or none where there is no room for what may come.
pub(crate) async fn batch(relay: Arc<Relay>, mut body: Bytes) -> Option<Vec<u8>> {
    let mut flow = relay.bus.flow();
    timeout(ROOM_TIMEOUT, flow.wait_for(|flow| flow.has_room())).await.ok()?.ok()?;
    let mut answer = Vec::new();
    if let Err(refusal) = take(&relay, &mut body, &mut answer).await {
        relay.metrics.bad_input("frame").inc();
        push(&mut answer, &refusal.frame());
    }
    Some(answer)
}

/// Takes the session and its frames, until one is refused.
async fn take(relay: &Arc<Relay>, body: &mut Bytes, answer: &mut Vec<u8>) -> Result<(), Refusal> {
    let hello = next(body)?.ok_or(Violation::Order("the first frame must be hello"))?;
    let (mut intake, welcome) = Intake::open(Arc::clone(relay), &hello, Arrival::Request).await?;
    push(answer, &welcome);
    let taken = take_frames(&mut intake, body, answer);
    intake.drain();
    if let Some(ack) = intake.ack() {
        push(answer, &ack);
    }
    taken
}

fn take_frames(intake: &mut Intake, body: &mut Bytes, answer: &mut Vec<u8>) -> Result<(), Refusal> {
    while let Some(frame) = next(body)? {
        if let Some(reply) = intake.receive(&frame)? {
            push(answer, &reply);
        }
    }
    Ok(())
}

/// The next frame; none at the end of the body.
fn next(body: &mut Bytes) -> Result<Option<Bytes>, Violation> {
    if !body.has_remaining() {
        return Ok(None);
    }
    let wrong = || Violation::Schema("a frame's length is none, or beyond the body".into());
    let len = decode_varint(body).map_err(|_| wrong())?;
    let len = usize::try_from(len).ok().filter(|len| *len <= body.len()).ok_or_else(wrong)?;
    Ok(Some(body.split_to(len)))
}

fn push(answer: &mut Vec<u8>, frame: &Bytes) {
    encode_varint(frame.len() as u64, answer);
    answer.extend_from_slice(frame);
}
