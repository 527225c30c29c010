/** A slice of layered omelette, tied to the rice with a band of nori. */
export function Omelette() {
  return (
    <>
      <path
        d="M9 38c0-14 6-21 20-22l82-5c14-1 21 7 22 23 0 10-4 13-13 13l-98 6c-9 0-13-5-13-15Z"
        fill="#f4c653"
      />
      <path d="M9 40c1 9 5 13 13 13l98-6c9 0 13-3 13-12-5 4-9 5-15 5l-95 6c-6 0-10-1-14-6Z" fill="#dfa537" />
      <path
        d="M18 33C44 24 92 20 125 26M16 39c30-6 76-10 112-7"
        fill="none"
        stroke="#fbe09a"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
      <path d="M58 13l22-1.5c2 8 2.5 16 2 24L81 71H60l-2-36c-.5-8-.5-15 0-22Z" fill="#26332d" />
      <path d="M63 14c-1 8-1 14 0 22l1 34" fill="none" stroke="#3c4d45" strokeWidth="2" />
    </>
  );
}
