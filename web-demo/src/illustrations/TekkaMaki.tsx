import { Plated } from './Plated';
import { Roll } from './Roll';

const back = [78, 122, 166].map((x) => ({ x, y: 78 }));
const front = [60, 104, 148].map((x) => ({ x, y: 102 }));

export function TekkaMaki() {
  return (
    <Plated>
      {[...back, ...front].map(({ x, y }) => (
        <Roll key={x} x={x} y={y} radius={19} height={28} side="#1f2b26" rim="#2f3f38">
          <ellipse rx="16.5" ry="9.8" fill="#fcf8ef" />
          <path
            d="M-10 -3l3-2M9 -4l-3-1M-9 4l3 1M8 4l3-1"
            stroke="#ded2bb"
            strokeWidth="2"
            strokeLinecap="round"
          />
          <ellipse rx="7" ry="4.3" fill="#b3263a" />
          <path
            d="M-4 -1c2-1.5 5-1.5 7 0"
            fill="none"
            stroke="#d46572"
            strokeWidth="1.5"
            strokeLinecap="round"
          />
        </Roll>
      ))}
      <path d="M184 126c-3-8 3-15 10-14 8-1 13 7 9 14-4 5-15 5-19 0Z" fill="#93ab5c" />
      <path d="M189 120c2-3 6-4 9-2" fill="none" stroke="#b4c983" strokeWidth="2" strokeLinecap="round" />
    </Plated>
  );
}
