// One trace: what it is, its waterfall, and the span that is selected.

import { spanDetail } from './detail.js';
import { copyable, h, serviceChip } from './dom.js';
import { clock, count, duration } from './format.js';
import { lostNumbers, lostUpdates, sessionLosses } from './loss.js';
import { buildTree } from './tree.js';
import { markSelected, waterfall } from './waterfall.js';

/**
 * @param {object} trace as the API gives it
 * @param {{ selected: string | undefined, folded: Set<string> }} view span ids; changed as the reader goes
 * @param {() => void} redraw called when rows come or go
 */
export function traceView(trace, view, redraw) {
  const tree = buildTree(trace);
  const { rows } = tree;
  const byId = new Map(rows.map((row) => [row.span.spanId, row]));
  const row = byId.get(view.selected) ?? firstChoice(rows);
  const onSelect = (spanId) => {
    view.selected = spanId;
    markSelected(bars, spanId);
    const next = spanDetail(byId.get(spanId), onSelect);
    detail.replaceWith(next);
    detail = next;
  };
  const onFold = (spanId) => {
    if (!view.folded.delete(spanId)) view.folded.add(spanId);
    view.selected = spanId;
    redraw();
  };
  const bars = waterfall(tree, { folded: view.folded, selected: row.span.spanId, onSelect, onFold });
  let detail = spanDetail(row, onSelect);
  return [head(trace, tree), bars, detail];
}

/** Until the reader chooses: the innermost failure, which is most often the cause, else the first span. */
function firstChoice(rows) {
  const failed = rows.filter((row) => row.span.status === 'error');
  return failed.sort((a, b) => b.depth - a.depth)[0] ?? rows[0];
}

function head(trace, { rows, total }) {
  const errors = rows.filter((row) => row.span.status === 'error').length;
  const services = [...new Set(rows.map((row) => row.source.service))];
  const keys = [...new Set(rows.map((row) => row.span.key).filter((key) => key !== null))];
  const { name, loss } = (rows.find((row) => row.span.parentSpanId === null) ?? rows[0]).span;
  const title = loss === null ? name : lostUpdates(loss);
  const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  return h(
    'header',
    { class: 'trace-head' },
    h('a', { class: 'back', href: '/traces' }, '← Traces'),
    h('h1', {}, title || '(no name)', ...keys.map((key) => h('span', { class: 'chip key' }, key))),
    h('p', { class: 'id' }, copyable(trace.traceId, 'trace id')),
    h(
      'dl',
      { class: 'facts' },
      ...(loss === null
        ? [fact('Duration', duration(total)), fact('Started', clock(trace.spans[0].start))]
        : [
            fact('Updates', lostNumbers(loss)),
            fact('Reason', loss.reason),
            fact('Place', loss.place),
            fact('Reported', clock(trace.spans[0].start)),
          ]),
      fact('Spans', rows.length.toLocaleString('en')),
      fact('Errors', h('span', { class: errors > 0 ? 'bad' : '' }, errors)),
      fact('Services', h('span', { class: 'chips' }, ...services.map(serviceChip))),
    ),
    trace.refused > 0 &&
      h('p', { class: 'note' }, `${count(trace.refused, 'span')} of this trace refused: over a limit.`),
    ...sessionLosses(trace.sessions).map((losses) => lossNote(losses, trace)),
  );
}

function lossNote({ beginning, kinds }, trace) {
  const parts = kinds.flatMap(({ text, traceId }, at) => {
    const here = traceId === null || traceId === trace.traceId;
    // Isolated: a text that is written from right to left must not turn its neighbours round.
    const part = h('bdi', {}, text);
    return [at > 0 && ', ', here ? part : h('a', { href: `/traces/${traceId}` }, part)];
  });
  return h('p', { class: 'note error' }, h('b', {}, beginning), ...parts);
}
