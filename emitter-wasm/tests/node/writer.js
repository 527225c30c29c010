// A second bundle on the page of installed.test.ts, with a copy of the package of its own.
import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';

createStore().set(atomWithTracing('other', 0), 1);
window.writer = startEmitter({ url: 'ws://127.0.0.1:1/v1/stream', service: { name: 'writer' } });
