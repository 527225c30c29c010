/** The pressed rice under a nigiri's topping. */
export function Rice() {
  return (
    <>
      <path
        d="M18 54C16 38 26 32 44 32h56c18 0 26 6 24 22-1 12-8 17-20 17H38c-12 0-19-5-20-17Z"
        fill="#fcf8ef"
      />
      <path
        d="M18.5 57C20 67 27 71 38 71h66c11 0 18-4 19.5-14-5 6-13 8-23 8H42c-10 0-18-2-23.5-8Z"
        fill="#e8decb"
      />
      <path
        d="M27 52l5 2M38 58l6-1M50 50l4 3M62 59l6 0M74 51l5 2M86 58l6-2M98 51l4 3M108 58l6-2M56
          64l5-1M80 65l5 0"
        fill="none"
        stroke="#ded2bb"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
    </>
  );
}
