//! A page's life: hidden, put away, left, killed and restored.

use super::browser::Page;
use super::link::Request;
use super::world::{MILLISECOND, NEVER, SECOND, World};
use atomwire_wire::LostReason;
use atomwire_wire::emitter::Emitter;
use atomwire_wire::proto::{self, client_frame::Frame};
use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::decode_varint;

impl World {
    pub(super) fn hide(&mut self) {
        self.hurry();
        if self.page().connected.is_none() {
            self.last_request(false);
        }
    }

    pub(super) fn freeze(&mut self) {
        let at = self.front();
        if !self.pages[at].frozen {
            self.disconnect(at);
            self.last_request(false);
            self.pages[at].frozen = true;
            self.pages[at].retry_at = NEVER;
        }
    }

    pub(super) fn come_back(&mut self) {
        let at = self.front();
        if std::mem::take(&mut self.pages[at].frozen) {
            self.connect(at);
        }
    }

    /// The page goes for good, and another comes. With something pending it may leave a note, for the next page to
    /// close its books; without one it does that itself.
    pub(super) fn leave(&mut self) {
        self.summary.add("left for good", 1);
        let at = self.front();
        self.disconnect(at);
        let session_no = self.pages[at].session_no;
        self.sessions[session_no].gone = true;
        let noted = !self.pages[at].emitter.all_settled() && self.rng.percent(50);
        self.last_request(!noted);
        let page = self.pages.pop().unwrap();
        if noted {
            let (settled, end) = (page.emitter.settled(), self.sessions[session_no].created());
            self.speak_for(page, settled, end, LostReason::PageClosed);
        }
        self.open_page();
    }

    /// The next page reports what a note says is missing, and closes the session's books.
    fn speak_for(&mut self, page: Page, settled: u64, end: u64, reason: LostReason) {
        let Page { session_no, config, .. } = page;
        self.summary.add("noted", 1);
        let mut emitter = Emitter::restore_at(config.clone(), settled);
        emitter.lose(end - settled, reason);
        let truth = &mut self.sessions[session_no];
        truth.noted(settled, end, reason);
        truth.balance(emitter.stats());
        let mut page = Page::new(session_no, emitter, config, self.now);
        page.end();
        self.pages.push(page);
    }

    fn last_request(&mut self, for_good: bool) {
        let (now, bytes) = (self.client_now(), self.rng.pick(&[700, 3_000, 60 << 10, 60 << 10]));
        let page = self.pages.last_mut().unwrap();
        let Some(body) = page.emitter.last_request(bytes, for_good, now) else { return };
        let (mut body, mut frames) = (Bytes::from(body), Vec::new());
        while body.has_remaining() {
            let len = decode_varint(&mut body).unwrap();
            frames.push(body.split_to(len as usize));
        }
        let batches = frames.iter().filter_map(|frame| match proto::ClientFrame::decode(&frame[..]) {
            Ok(proto::ClientFrame { frame: Some(Frame::Batch(batch)) }) => Some(batch),
            _ => None,
        });
        let mut batches: Vec<_> = batches.collect();
        let truth = &mut self.sessions[page.session_no];
        // What does not fit is given up by a batch that has nothing else, not even a time.
        batches.pop_if(|batch| for_good && batch.base_time_us == 0);
        for batch in &batches {
            truth.sent(batch, page.frame_bytes, &mut self.summary);
        }
        let end = batches.iter().map(end).max().unwrap_or(page.emitter.settled());
        truth.left(end, page.frame_bytes, for_good, page.emitter.stats());
        truth.balance(page.emitter.stats());
        let (session_no, offered) = (page.session_no, page.offered);
        let late = self.rng.percent(20);
        let delay = if late { self.rng.below(600 * SECOND) } else { self.rng.below(MILLISECOND * 500) };
        let times = match self.rng.below(10) {
            0..2 => 0,
            2..4 => 2,
            _ => 1,
        };
        let sent = ["requests that never came", "requests", "repeated requests"][times];
        self.summary.add(sent, 1);
        self.summary.add("late requests", u64::from(late));
        for time in 0..times as u64 {
            let due = self.now + delay + time * self.rng.below(10 * SECOND);
            self.requests.push(Request { due, session_no, frames: frames.clone(), for_good, offered });
        }
    }

    pub(super) fn write_down(&mut self) {
        let page = self.pages.last_mut().unwrap();
        let settled = page.emitter.settled();
        while let Some(frame) = page.emitter.journal() {
            page.journal.push(frame.into());
        }
        let written = page.journal.iter().map(|frame| end(&batch(frame))).max().unwrap_or(0);
        let created = self.sessions[page.session_no].created();
        assert_eq!(written.max(settled), created, "everything that is open is written down");
        page.journal.retain(|frame| end(&batch(frame)) > settled);
        page.keys = page.emitter.keys().to_vec();
    }

    /// The page's process dies. The next page goes on with what was written down, in which the newest may be
    /// missing, something in the middle, and something may be there twice.
    pub(super) fn kill(&mut self) {
        let at = self.front();
        self.cut(at);
        let mut page = self.pages.pop().unwrap();
        let session_no = page.session_no;
        let mut frames = std::mem::take(&mut page.journal);
        if frames.len() > 1 && self.rng.percent(30) {
            self.summary.add("kept frames missing", 1);
            let (from, to) = (1 + self.rng.below(frames.len() as u64 - 1), frames.len() as u64);
            let to = if self.rng.percent(70) { to } else { from + 1 };
            frames.drain(from as usize..to as usize);
        }
        if !frames.is_empty() && self.rng.percent(20) {
            self.summary.add("kept frames twice", 1);
            let again = self.rng.below(frames.len() as u64) as usize;
            frames.insert(again + 1, frames[again].clone());
        }
        let truth = &mut self.sessions[session_no];
        truth.gone = true;
        let created = truth.created();
        if frames.is_empty() {
            // A note may be older than the death: by what was settled since, and by what was made.
            let settled = page.emitter.settled().saturating_sub(self.rng.below(4));
            let end = created.saturating_sub(self.rng.below(3)).max(settled);
            if end > settled && self.rng.percent(80) {
                self.speak_for(page, settled, end, LostReason::PageKilled);
            }
        } else {
            let Page { keys, config, .. } = page;
            self.summary.add("restored", 1);
            let pieces: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
            let emitter = Emitter::restore(config.clone(), keys, &pieces).unwrap();
            truth.restored(&frames.iter().map(batch).collect::<Vec<_>>());
            truth.balance(emitter.stats());
            let mut page = Page::new(session_no, emitter, config, self.now);
            page.end();
            self.pages.push(page);
        }
        self.open_page();
    }
}

fn batch(frame: &Bytes) -> proto::Batch {
    crate::support::batch(frame)
}

/// The number after the last that a batch speaks of.
fn end(batch: &proto::Batch) -> u64 {
    let updates = if batch.updates.is_empty() { 0 } else { batch.first_seq + batch.updates.len() as u64 };
    batch.lost.last().map_or(0, |range| range.last + 1).max(updates)
}
