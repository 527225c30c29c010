// The app of installed.test.ts that serves the module itself.
import wasm from 'atomwire/module.wasm?url';
import { startEmitter } from 'atomwire/slim';

const diagnostics = [];
startEmitter({
  url: new URLSearchParams(location.search).get('relay'),
  service: { name: 'slim' },
  module: wasm,
  onDiagnostic: ({ kind }) => diagnostics.push(kind),
});

window.app = { diagnostics };
