import type { Page } from 'playwright-core';

/** What the demo's panel shows. */
export interface Panel {
  state: string;
  created: number;
  acknowledged: number;
  pending: number;
  lost: number;
  reasons: string;
}

/** Reads the demo's panel, as assistive technology finds it. */
export async function readPanel(demo: Page): Promise<Panel> {
  const panel = demo.getByRole('region', { name: 'Atomwire emitter' });
  // One look, so that the numbers are of one moment.
  const shown = await panel
    .getByRole('status')
    .evaluateAll((outputs) => outputs.map((output) => [output.ariaLabel, output.textContent]));
  const text = (label: string) => String(shown.find(([name]) => name === label)?.[1] ?? 'absent');
  return {
    state: text('state'),
    created: Number(text('created')),
    acknowledged: Number(text('acknowledged')),
    pending: Number(text('pending')),
    lost: Number(text('lost')),
    reasons: text('lost reasons'),
  };
}
