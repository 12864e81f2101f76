// Positions in a text as the server counts them and as JavaScript does.

/** A byte offset in the UTF-8 form of `text` as an index into the string. */
export function charOffset(text: string, byteOffset: number): number {
  let bytes = 0;
  let at = 0;
  for (const character of text) {
    if (bytes >= byteOffset) return at;
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    at += character.length;
  }
  return at;
}
