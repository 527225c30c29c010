import { FishSlice } from './FishSlice';
import { Pair } from './Pair';
import { Plated } from './Plated';
import { Rice } from './Rice';

export function SakeNigiri() {
  return (
    <Plated>
      <Pair>
        <Rice />
        <FishSlice flesh="#f4895f" shade="#dd6a3f" grain="#fcc9ae" />
      </Pair>
    </Plated>
  );
}
