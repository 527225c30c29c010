interface FishSliceProps {
  flesh: string;
  shade: string;
  grain: string;
}

/** A slice of fish draped over the rice, with its grain across. */
export function FishSlice({ flesh, shade, grain }: FishSliceProps) {
  return (
    <>
      <path
        d="M5 47C6 23 28 13 56 10c32-4 63 2 74 20 6 10 8 21 3 24-6 3-11-9-25-13-24-6-54-6-74 1-10
          4-15 14-23 14-5 0-6-4-6-9Z"
        fill={flesh}
      />
      <path
        d="M5 48c0 5 2 8 6 8 8 0 13-10 23-14 20-7 50-7 74-1 14 4 19 16 25 13 2-1 3-4 2-9-5
          3-12-7-26-11-25-6-55-6-76 2-11 4-19 15-28 12Z"
        fill={shade}
      />
      <path
        d="M31 20c-6 6-8 13-7 20M48 14c-6 7-8 14-6 22M66 12c-6 6-7 14-5 21M84 12c-5 6-5 13-2 20
          M101 15c-4 6-3 12 1 19M116 20c-3 6-1 11 4 18"
        fill="none"
        stroke={grain}
        strokeWidth="2.6"
        strokeLinecap="round"
      />
    </>
  );
}
