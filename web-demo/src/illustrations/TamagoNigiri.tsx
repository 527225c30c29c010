import { Omelette } from './Omelette';
import { Pair } from './Pair';
import { Plated } from './Plated';
import { Rice } from './Rice';

export function TamagoNigiri() {
  return (
    <Plated>
      <Pair>
        <Rice />
        <Omelette />
      </Pair>
    </Plated>
  );
}
