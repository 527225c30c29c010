import { Pair } from './Pair';
import { Plated } from './Plated';
import { Prawn } from './Prawn';
import { Rice } from './Rice';

export function EbiNigiri() {
  return (
    <Plated>
      <Pair>
        <Rice />
        <Prawn />
      </Pair>
    </Plated>
  );
}
