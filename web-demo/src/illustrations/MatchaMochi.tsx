import { Plated } from './Plated';

export function MatchaMochi() {
  return (
    <Plated>
      <path d="M40 132c6-20 24-30 46-26-4 18-22 30-46 26Z" fill="#5f7d43" />
      <path
        d="M44 130c10-10 22-18 38-22"
        fill="none"
        stroke="#8aa86a"
        strokeWidth="2"
        strokeLinecap="round"
      />
      <ellipse cx="150" cy="120" rx="46" ry="9" fill="var(--plate-shadow)" />
      <path d="M104 100c0-28 20-44 46-44s46 16 46 44c0 15-18 22-46 22s-46-7-46-22Z" fill="#a8bd6f" />
      <path d="M104 102c0 14 18 20 46 20s46-6 46-20c-8 9-24 12-46 12s-38-3-46-12Z" fill="#8aa254" />
      <path d="M122 78c6-8 14-12 24-13" fill="none" stroke="#c9d99b" strokeWidth="4" strokeLinecap="round" />
      <ellipse cx="98" cy="137" rx="48" ry="8" fill="var(--plate-shadow)" />
      <path d="M52 114c0-28 19-43 44-43s44 15 44 43c0 16-17 23-44 23s-44-7-44-23Z" fill="#b5c97c" />
      <path d="M62 118c0-20 13-32 34-32s34 12 34 32c0 10-13 15-34 15s-34-5-34-15Z" fill="#e9efd0" />
      <path d="M70 118c0-15 10-24 26-24s26 9 26 24c0 7-10 11-26 11s-26-4-26-11Z" fill="#5b2a2c" />
      <path
        d="M82 112l4-2M94 106l4 1M106 112l3-2M88 120l4 1M101 120l4-1"
        stroke="#7b4244"
        strokeWidth="3"
        strokeLinecap="round"
      />
      <path
        d="M136 66l1 0M150 62l1 0M164 68l1 0M158 76l1 0M143 75l1 0M172 80l1 0M70 84l1 0M84 77l1 0
          M102 75l1 0M118 80l1 0"
        stroke="#6f8a3c"
        strokeWidth="3"
        strokeLinecap="round"
      />
    </Plated>
  );
}
