// What the page says of lost updates: node --test trace-view/tests/page/

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lostNumbers, lostUpdates, lostWhy, sessionLosses } from '../../page/loss.js';

const id = '5e55105e55105e55105e55105e55105e';
const kind = (updates, reason, place, traceId = null) => ({ updates, reason, place, traceId });

test('a loss says how many, which, why and where', () => {
  const loss = { first: 13, last: 17, place: 'browser', reason: 'queue_full' };
  assert.deepEqual(
    [lostUpdates(loss), lostNumbers(loss), lostWhy(loss)],
    ['5 updates lost', '#13–17', 'queue_full in the browser'],
  );
  const one = { ...loss, last: 13 };
  assert.deepEqual([lostUpdates(one), lostNumbers(one)], ['1 update lost', '#13']);
});

test('a session’s losses make one sentence, each kind with its own trace', () => {
  const lost = [kind(5, 'queue_full', 'browser', 'a1'), kind(2, 'invalid_json', 'relay')];
  const kinds = [
    { text: '5 queue_full in the browser', traceId: 'a1' },
    { text: '2 invalid_json in the relay', traceId: null },
  ];
  assert.deepEqual(sessionLosses([{ id, lost }]), [{ beginning: 'This session lost 7 updates: ', kinds }]);
  assert.deepEqual(sessionLosses([{ id, lost: [] }]), []);
});

test('of several sessions, each that lost something is named', () => {
  const sessions = [
    { id, lost: [] },
    { id: 'ab'.repeat(16), lost: [kind(1, 'too_large', 'relay')] },
  ];
  const beginnings = sessionLosses(sessions).map(({ beginning }) => beginning);
  assert.deepEqual(beginnings, ['Session abababab lost 1 update: ']);
});

test('wild places and numbers are said as they came', () => {
  const [{ kinds }] = sessionLosses([{ id, lost: [kind(2 ** 64, '<b>', 'moon')] }]);
  assert.equal(kinds[0].text, '18,446,744,073,709,552,000 <b> (moon)');
  assert.equal(
    lostUpdates({ first: 0, last: Number.MAX_SAFE_INTEGER }),
    '9,007,199,254,740,992 updates lost',
  );
});
