import { Plated } from './Plated';
import { Roll } from './Roll';

const pieces = [
  { x: 154, y: 74 },
  { x: 84, y: 92 },
];

const roe = [
  [-24, -5],
  [-12, -11],
  [2, -13],
  [16, -11],
  [27, -4],
  [-30, 2],
  [-18, 0],
  [-5, -3],
  [9, -3],
  [21, 2],
  [31, 5],
  [-22, 9],
  [-10, 8],
  [3, 6],
  [14, 10],
  [-3, 14],
] as const;

export function IkuraGunkan() {
  return (
    <Plated>
      {pieces.map(({ x, y }) => (
        <Roll key={x} x={x} y={y} radius={40} height={34} side="#1f2b26" rim="#2f3f38">
          <path
            d="M-22 24l-1 25M6 26l0 28M27 22l1 22"
            stroke="#2f3f38"
            strokeWidth="2"
            strokeLinecap="round"
          />
          <ellipse rx="36" ry="21" fill="#b9441f" />
          <path d="M20 -16c6-14 16-20 26-20-1 12-7 22-18 27Z" fill="#8fb05c" />
          <path
            d="M24 -13c6-8 12-15 19-20"
            fill="none"
            stroke="#b9d18c"
            strokeWidth="1.8"
            strokeLinecap="round"
          />
          {roe.map(([cx, cy]) => (
            <g key={`${cx} ${cy}`} transform={`translate(${cx} ${cy})`}>
              <circle r="7.4" fill="#ee6b2f" />
              <circle r="4.6" cx="0.6" cy="0.8" fill="#f78a4a" />
              <circle r="1.7" cx="-2.4" cy="-2.6" fill="#ffe3cf" />
            </g>
          ))}
        </Roll>
      ))}
    </Plated>
  );
}
