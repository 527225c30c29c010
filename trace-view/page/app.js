// The page's state and its conversation with the server: the stream says that something changed, then
// the list and the open trace are fetched again. Both are small, and nothing can get out of step.

import { h } from './dom.js';
import { bytes, count } from './format.js';
import { createList } from './list.js';
import { keyboardHelp, waiting, welcome } from './messages.js';
import { traceView } from './trace.js';

const PAGE_SIZE = 100;
const MAX_TRACES = 1000;
const RECONNECT_MS = 2000;
const TRACE_ID = /^[0-9a-f]{32}$/i;

const element = (id) => document.getElementById(id);
const [keyInput, serviceSelect, lossSelect] = [element('key'), element('service'), element('losses')];
const tracePane = element('trace');
const list = createList(element('list'));

const state = {
  limit: PAGE_SIZE,
  /** The last answer for the list. */
  listing: undefined,
  /** The id of the trace that is open, and the last answer for it; undefined while it has not arrived. */
  open: undefined,
  trace: undefined,
  /** What the reader did with it. */
  view: newView(),
};

function newView() {
  return { selected: undefined, folded: new Set() };
}

// --- Talking to the server

/** One request at a time, and one more if it was asked for meanwhile. */
function single(work) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      // A failed request is followed by the stream's reconnect, which asks again.
      await work().catch(() => {});
    }
    running = false;
  };
}

const loadList = single(async () => {
  const query = new URLSearchParams({
    limit: state.limit,
    key: keyInput.value,
    service: serviceSelect.value,
  });
  if (lossSelect.value !== '') query.set('losses', lossSelect.value);
  const response = await fetch(`/traces/api/traces?${query}`);
  if (!response.ok) return;
  state.listing = await response.json();
  showList();
});

const loadTrace = single(async () => {
  const traceId = state.open;
  if (traceId === undefined) return;
  const response = await fetch(`/traces/api/traces/${traceId}`);
  const trace = response.ok ? await response.json() : undefined;
  if (traceId !== state.open) return;
  // An evicted trace stays on the screen of whoever is reading it.
  if (trace !== undefined || state.trace === undefined) state.trace = trace;
  showTrace();
});

let stream;
let reconnect;

function listen() {
  stream?.close();
  clearTimeout(reconnect);
  if (document.hidden) return;
  const query = state.open === undefined ? '' : `?trace=${state.open}`;
  stream = new EventSource(`/traces/api/events${query}`);
  stream.addEventListener('open', () => showLive('Live'));
  stream.addEventListener('change', (event) => {
    loadList();
    const { trace } = JSON.parse(event.data);
    if (trace === null && state.trace === undefined) showTrace();
    else if (trace !== null && trace !== state.trace?.version) loadTrace();
  });
  stream.addEventListener('error', () => {
    showLive('Reconnecting');
    // The browser comes back by itself after a broken connection, but not after a refusal.
    if (stream.readyState === EventSource.CLOSED) reconnect = setTimeout(listen, RECONNECT_MS);
  });
}

// A browser has few connections per host: a tab that nobody sees must not hold one.
document.addEventListener('visibilitychange', listen);

// --- Going places

function openTrace(traceId, { push = true } = {}) {
  if (push && location.pathname !== pathOf(traceId)) history.pushState(null, '', pathOf(traceId));
  document.body.dataset.pane = traceId === undefined ? 'list' : 'trace';
  if (traceId !== state.open) {
    Object.assign(state, { open: traceId, trace: undefined, view: newView() });
    listen();
  }
  showList();
  if (traceId === undefined) showTrace();
  // Any other trace may not have arrived yet: the stream tells.
  else if (state.listing?.traces.some((trace) => trace.traceId === traceId)) loadTrace();
}

function pathOf(traceId) {
  return traceId === undefined ? '/traces' : `/traces/${traceId}`;
}

function openFromAddress() {
  const id = location.pathname.split('/')[2];
  openTrace(TRACE_ID.test(id) ? id.toLowerCase() : undefined, { push: false });
}

addEventListener('popstate', openFromAddress);

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href^="/traces"]');
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const id = link.pathname.split('/')[2];
  openTrace(id);
  if (id !== undefined) focusSoon = true;
});

/** Whether the waterfall takes the focus once it is there. */
let focusSoon = false;

document.addEventListener('keydown', (event) => {
  const typing = event.target.matches('input, select, textarea');
  if (event.key === '/' && !typing) {
    event.preventDefault();
    keyInput.select();
  } else if (event.key === 'Escape') {
    leave(event.target);
  } else if (!typing && ['ArrowDown', 'j'].includes(event.key) && event.target === document.body) {
    event.preventDefault();
    (tracePane.querySelector('[role=treeitem][tabindex="0"]') ?? document.querySelector('#list a'))?.focus();
  }
});

/** One step back: from the filter, and from a trace, to the list. */
function leave(target) {
  const opened = document.querySelector('#list a[aria-current]') ?? document.querySelector('#list a');
  if (target === keyInput) {
    keyInput.value = '';
    loadList();
  } else if (state.open !== undefined) {
    openTrace(undefined);
  }
  opened?.focus();
}

element('more').addEventListener('click', () => {
  state.limit = Math.min(state.limit + PAGE_SIZE, MAX_TRACES);
  loadList();
});
serviceSelect.addEventListener('change', loadList);
lossSelect.addEventListener('change', loadList);
keyInput.addEventListener('input', () => {
  const text = keyInput.value.trim();
  if (TRACE_ID.test(text)) {
    keyInput.value = '';
    openTrace(text.toLowerCase());
  }
  loadList();
});
keyInput.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === 'ArrowDown') document.querySelector('#list a')?.focus();
});

// --- Drawing

function showLive(text) {
  const live = element('live');
  live.textContent = text;
  live.dataset.on = String(text === 'Live');
}

function showList() {
  if (state.listing === undefined) return;
  const { traces, matching, services, stats } = state.listing;
  list.show(traces, state.open);
  const filtered = [keyInput, serviceSelect, lossSelect].some((field) => field.value !== '');
  const shown = count(matching, 'trace');
  const lost = h('span', { class: 'errors' }, `${count(stats.lostUpdates, 'update')} lost`);
  element('count').replaceChildren(
    filtered ? `${shown} of ${stats.traces.toLocaleString('en')}` : shown,
    ...(stats.lostUpdates > 0 ? [' · ', lost] : []),
  );
  showLossFilter(stats.lostUpdates > 0);
  element('more').hidden = traces.length >= Math.min(matching, MAX_TRACES);
  element('stats').textContent = describeStore(stats);
  document.body.dataset.empty = String(stats.traces === 0);
  showServices(services);
  if (state.open === undefined) showTrace();
}

function describeStore(stats) {
  const parts = [count(stats.spans, 'span'), `${bytes(stats.bytes)} of ${bytes(stats.maxBytes)}`];
  if (stats.evictedTraces > 0) parts.push(`${count(stats.evictedTraces, 'older trace')} evicted`);
  if (stats.refused > 0) parts.push(`${count(stats.refused, 'span')} refused`);
  if (stats.cutStrings > 0) parts.push(`${count(stats.cutStrings, 'text')} shortened`);
  return parts.join(' · ');
}

/** Nobody has to choose while there is nothing to choose from; a restarted server may have nothing again. */
function showLossFilter(any) {
  lossSelect.hidden = !any;
  if (any || lossSelect.value === '') return;
  lossSelect.value = '';
  loadList();
}

function showServices(services) {
  const [all, ...known] = serviceSelect.options;
  if (known.map((option) => option.value).join('\n') === services.join('\n')) return;
  const chosen = serviceSelect.value;
  serviceSelect.replaceChildren(all, ...services.map((name) => h('option', { value: name }, name)));
  serviceSelect.value = services.includes(chosen) ? chosen : '';
  if (serviceSelect.value !== chosen) loadList();
}

function showTrace() {
  const showing =
    state.trace === undefined
      ? `${state.open} ${state.listing && state.listing.stats.traces === 0}`
      : undefined;
  if (showing !== undefined && showing === tracePane.dataset.showing) return;
  tracePane.dataset.showing = showing ?? '';
  const scrolled = tracePane.scrollTop;
  const focused = tracePane.contains(document.activeElement);
  if (state.trace === undefined) tracePane.replaceChildren(...placeholder());
  else tracePane.replaceChildren(...traceView(state.trace, state.view, showTrace));
  tracePane.scrollTop = scrolled;
  const row = tracePane.querySelector('[role=treeitem][tabindex="0"]');
  if (row !== null && (focused || focusSoon)) {
    focusSoon = false;
    row.focus({ preventScroll: true });
  }
  document.title = `${tracePane.querySelector('h1')?.firstChild.textContent ?? 'Traces'} · Atomwire`;
}

function placeholder() {
  if (state.open !== undefined) return [waiting(state.open)];
  if (state.listing === undefined) return [];
  return [state.listing.stats.traces === 0 ? welcome() : keyboardHelp()];
}

openFromAddress();
listen();
loadList();
