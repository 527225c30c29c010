import { FishSlice } from './FishSlice';
import { Prawn } from './Prawn';
import { Rice } from './Rice';

/** The opening picture: three nigiri on a wooden stand, before a red sun. */
export function Platter() {
  return (
    <svg viewBox="0 0 560 460" aria-hidden="true" focusable="false">
      <circle cx="300" cy="206" r="186" fill="var(--sun)" />
      <path d="M120 408h44l-6 34h-32ZM396 408h44l-6 34h-32Z" fill="#7d5430" />
      <path d="M62 362h436l22 34H40Z" fill="#d3a56b" />
      <path d="M40 396h480v16H40Z" fill="#a97a47" />
      <path
        d="M92 372h110M250 369h90M388 373h92M70 387h80M236 390h150M430 388h60"
        stroke="#bd8d55"
        strokeWidth="2"
        strokeLinecap="round"
      />
      <g fill="#a97a47" opacity="0.7">
        <ellipse cx="424" cy="371" rx="72" ry="7" />
        <ellipse cx="296" cy="379" rx="72" ry="7" />
        <ellipse cx="162" cy="386" rx="72" ry="7" />
      </g>
      <path d="M408 296L530 62" stroke="#2c1c17" strokeWidth="9" strokeLinecap="round" />
      <path d="M520 81l10-19" stroke="#d3a56b" strokeWidth="9" strokeLinecap="round" />
      <g transform="translate(330 280) scale(1.28)">
        <Rice />
        <Prawn />
      </g>
      <path d="M418 318L548 92" stroke="#3a251e" strokeWidth="9" strokeLinecap="round" />
      <path d="M537 111l11-19" stroke="#d3a56b" strokeWidth="9" strokeLinecap="round" />
      <g transform="translate(202 288) scale(1.28)">
        <Rice />
        <FishSlice flesh="#f4895f" shade="#dd6a3f" grain="#fcc9ae" />
      </g>
      <g transform="translate(68 295) scale(1.28)">
        <Rice />
        <FishSlice flesh="#b3263a" shade="#8d1a2d" grain="#c9495a" />
      </g>
    </svg>
  );
}
