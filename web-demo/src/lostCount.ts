import type { EmitterStats } from 'atomwire';

/** Updates lost, whatever the reason. */
export function lostCount({ lost }: EmitterStats): number {
  return Object.values(lost).reduce((sum, count) => sum + count, 0);
}
