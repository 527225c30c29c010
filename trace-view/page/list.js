// The list of traces, newest first. It changes several times a second while somebody reads it, so lines
// keep their elements: focus, hover and scroll position survive.

import { h, serviceChip } from './dom.js';
import { clock, count, duration } from './format.js';
import { lostNumbers, lostUpdates, lostWhy } from './loss.js';

const SERVICES_SHOWN = 3;
const KEYS_SHOWN = 2;

/** @param {HTMLElement} list */
export function createList(list) {
  /** @type {Map<string, { item: HTMLElement, link: HTMLAnchorElement, shown: string }>} */
  const lines = new Map();
  list.addEventListener('keydown', (event) => moveFocus(list, event));

  return {
    show(traces, openTrace) {
      const longest = Math.max(...traces.map((trace) => Number(trace.duration)), 1);
      const present = new Set(traces.map((trace) => trace.traceId));
      for (const [traceId, { item }] of lines) {
        if (present.has(traceId)) continue;
        item.remove();
        lines.delete(traceId);
      }
      let place = list.firstElementChild;
      for (const trace of traces) {
        const line = lines.get(trace.traceId) ?? newLine(lines, trace.traceId);
        fill(line, trace, longest);
        line.link.toggleAttribute('aria-current', false);
        if (trace.traceId === openTrace) line.link.setAttribute('aria-current', 'true');
        if (line.item === place) place = place.nextElementSibling;
        else list.insertBefore(line.item, place);
      }
    },
  };
}

function newLine(lines, traceId) {
  const link = h('a', { href: `/traces/${traceId}`, 'data-trace': traceId });
  const line = { item: h('li', {}, link), link, shown: '' };
  lines.set(traceId, line);
  return line;
}

function fill(line, trace, longest) {
  const share = Math.max(Number(trace.duration) / longest, 0.01);
  const state = JSON.stringify([trace, share]);
  if (line.shown === state) return;
  line.shown = state;
  line.link.setAttribute('aria-label', describe(trace));
  line.link.classList.toggle('failed', trace.errors > 0);
  line.link.classList.toggle('loss', trace.loss !== null);
  line.link.replaceChildren(...(trace.loss === null ? update(trace, share) : loss(trace)));
}

function update(trace, share) {
  return [
    h(
      'span',
      { class: 'line' },
      h('strong', { class: trace.hasRoot ? 'name' : 'name rootless' }, trace.name || '(no name)'),
      h('span', { class: 'duration' }, duration(Number(trace.duration))),
    ),
    h('span', { class: 'share', style: { '--share': `${share * 100}%` } }),
    h('span', { class: 'chips' }, ...services(trace)),
    h(
      'span',
      { class: 'line small muted' },
      ...keys(trace),
      h('span', {}, count(trace.spans, 'span')),
      trace.errors > 0 && h('span', { class: 'errors' }, count(trace.errors, 'error')),
      !trace.hasRoot && h('span', {}, 'no root yet'),
      h('time', {}, clock(trace.start)),
    ),
  ];
}

/** Two lines only: there may be very many, and each is as long as no time. */
function loss(trace) {
  return [
    h(
      'span',
      { class: 'line' },
      h('span', { class: 'flag error', 'aria-hidden': 'true' }, '!'),
      h('strong', { class: 'name' }, lostUpdates(trace.loss)),
      h('span', { class: 'numbers muted' }, lostNumbers(trace.loss)),
      ...services(trace),
    ),
    h(
      'span',
      { class: 'line small muted' },
      h('span', { class: 'why' }, lostWhy(trace.loss)),
      h('time', {}, clock(trace.start)),
    ),
  ];
}

function describe(trace) {
  if (trace.loss !== null) {
    const { loss } = trace;
    return [lostUpdates(loss), lostWhy(loss), lostNumbers(loss), ...trace.services].join(', ');
  }
  const parts = [trace.name, duration(Number(trace.duration)), count(trace.spans, 'span')];
  if (trace.errors > 0) parts.push(count(trace.errors, 'error'));
  return [...parts, ...trace.services, ...trace.keys].join(', ');
}

function keys(trace) {
  const shown = trace.keys.slice(0, KEYS_SHOWN).map((key) => h('span', { class: 'chip key' }, key));
  const more = trace.keys.slice(KEYS_SHOWN);
  if (more.length > 0) shown.push(h('span', { title: more.join(', ') }, `+${more.length}`));
  return shown;
}

function services(trace) {
  const shown = trace.services.slice(0, SERVICES_SHOWN).map(serviceChip);
  const more = trace.services.slice(SERVICES_SHOWN);
  if (more.length > 0) shown.push(h('span', { class: 'chip', title: more.join(', ') }, `+${more.length}`));
  return shown;
}

function moveFocus(list, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...list.querySelectorAll('a')];
  const at = links.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: links.length - 1 }[
    event.key
  ];
  if (to === undefined) return;
  event.preventDefault();
  links[Math.min(Math.max(to, 0), links.length - 1)]?.focus();
}
