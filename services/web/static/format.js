// Numbers in words, as the server writes them.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

export function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes < 100 ? Number(bytes.toPrecision(3)) : Math.round(bytes)} ${UNITS[unit]}`;
}

export function percent(fraction) {
  return `${Math.floor(fraction * 100)} %`;
}

export function bitrate(bitsPerSecond) {
  if (bitsPerSecond < 1e6) return `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
  return `${(bitsPerSecond / 1e6).toFixed(bitsPerSecond < 1e7 ? 1 : 0)} Mbit/s`;
}
