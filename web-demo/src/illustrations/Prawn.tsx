/** A butterflied prawn with its tail, to lie on the rice. */
export function Prawn() {
  return (
    <>
      <path d="M122 30c8-12 16-16 22-14-3 6-3 9-1 13-5 1-10 4-15 9Z" fill="#d9542b" />
      <path d="M124 36c9-3 17-1 20 5-6 1-9 3-11 7-5-1-8-4-11-8Z" fill="#e86f3f" />
      <path
        d="M5 47C6 24 28 14 56 11c30-3 60 4 72 20 6 9 2 18-4 17-6 0-10-5-20-7-22-5-50-5-70 1-10
          3-15 14-23 14-5 0-6-4-6-9Z"
        fill="#fbd3b8"
      />
      <path
        d="M28 21C18 29 13 38 13 52M49 13c-8 8-11 15-11 25M71 11c-6 8-8 16-7 25M93 14c-4 7-4 14-1
          23M112 21c-2 6-1 12 3 20"
        fill="none"
        stroke="#e96f3d"
        strokeWidth="8"
        strokeLinecap="round"
      />
      <path
        d="M20 36C44 22 92 18 122 34"
        fill="none"
        stroke="#fff1e6"
        strokeWidth="2.4"
        strokeLinecap="round"
        opacity="0.8"
      />
    </>
  );
}
