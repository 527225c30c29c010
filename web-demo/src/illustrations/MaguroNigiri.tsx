import { FishSlice } from './FishSlice';
import { Pair } from './Pair';
import { Plated } from './Plated';
import { Rice } from './Rice';

export function MaguroNigiri() {
  return (
    <Plated>
      <Pair>
        <Rice />
        <FishSlice flesh="#b3263a" shade="#8d1a2d" grain="#c9495a" />
      </Pair>
    </Plated>
  );
}
