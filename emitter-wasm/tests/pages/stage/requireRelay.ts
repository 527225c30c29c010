import { existsSync } from 'node:fs';
import { PROGRAM } from './Relay.ts';

/** The relay that pages talk to here is the real one. */
export default function setup(): void {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --release -p atomwire-relay`);
}
