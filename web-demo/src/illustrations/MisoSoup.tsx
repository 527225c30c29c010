export function MisoSoup() {
  return (
    <svg viewBox="0 8 240 152" aria-hidden="true" focusable="false">
      <ellipse cx="122" cy="148" rx="74" ry="11" fill="var(--plate-shadow)" />
      <path d="M92 134h56l-4 14c-12 5-36 5-48 0Z" fill="#1d0f0d" />
      <path d="M42 72c0 40 34 68 78 68s78-28 78-68Z" fill="#331713" />
      <path d="M54 98c10 22 34 37 66 37" fill="none" stroke="#5c2c25" strokeWidth="4" strokeLinecap="round" />
      <ellipse cx="120" cy="72" rx="78" ry="22" fill="#a1301e" />
      <ellipse cx="120" cy="74" rx="70" ry="18" fill="#7c2216" />
      <ellipse cx="120" cy="77" rx="66" ry="15" fill="#b8803f" />
      <path
        d="M64 80c14-10 34-12 46-8s30 0 42 2"
        fill="none"
        stroke="#cb9a5c"
        strokeWidth="4"
        strokeLinecap="round"
      />
      <path d="M84 74l14-4 11 4-14 5ZM126 82l15-4 10 5-14 4Z" fill="#fffaf0" />
      <path d="M84 74v5l11 5v-5ZM126 82v4l11 5v-4ZM95 79v5l14-5v-5ZM137 87v4l14-5v-3Z" fill="#e5dac4" />
      <g fill="none" stroke="#7fa650" strokeWidth="2.8">
        <ellipse cx="118" cy="72" rx="5" ry="2.8" />
        <ellipse cx="160" cy="76" rx="5" ry="2.8" />
        <ellipse cx="112" cy="86" rx="5" ry="2.8" />
        <ellipse cx="76" cy="82" rx="4.5" ry="2.5" />
      </g>
      <path
        d="M96 46c-8-10 8-16 0-28M122 42c-9-12 9-18 0-32M148 46c-8-10 8-16 0-28"
        fill="none"
        stroke="var(--steam)"
        strokeWidth="3"
        strokeLinecap="round"
      />
    </svg>
  );
}
