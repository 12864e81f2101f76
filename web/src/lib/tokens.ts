// Words of a TraceQL query. Lenient: the form and the completion need to understand what is being typed; whether a query
// is right is the server's to say.

export type TokenKind = 'open' | 'close' | 'operator' | 'string' | 'number' | 'word' | 'other';

/** A word with its place in the text (UTF-16 units). */
export interface Token {
  kind: TokenKind;
  text: string;
  from: number;
  to: number;
  /** A string without its closing quote. */
  unclosed?: boolean;
}

const NUMBER = /^-?\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d)?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))*/;
// A key runs to the next blank, bracket, comma or comparison; it may hold quoted parts: span."with space".
const WORD = /^(?:[A-Za-z_]|\.(?=[A-Za-z_"]))(?:[^\s{}()=~!<>&|^,"`]|"(?:[^"\\]|\\.)*")*/;
const OPERATOR = /^(&&|\|\||!=|=~|!~|>=|<=|=|>|<|!|\+|-|\*|\/|%|\^)/;

/** Splits a query; never fails. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space !== null) {
      at += space[0].length;
      continue;
    }
    const token = tokenAt(rest, at);
    tokens.push(token);
    at = token.to;
  }
  return tokens;
}

/** The value of a string token. */
export function stringValue(token: Token): string {
  const body = token.text.slice(1, token.unclosed ? undefined : -1);
  if (token.text[0] === '`') return body;
  const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t' };
  return body.replace(/\\(.)/gs, (_, c: string) => escapes[c] ?? c);
}

/** A string as TraceQL writes it. */
export function quote(value: string): string {
  const escapes: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '"': '\\"', '\\': '\\\\' };
  return `"${value.replace(/["\\\n\r\t]/g, (c) => escapes[c])}"`;
}

function tokenAt(rest: string, from: number): Token {
  const token = (kind: TokenKind, text: string): Token => ({ kind, text, from, to: from + text.length });
  const first = rest[0];
  if (first === '{' || first === '(') return token('open', first);
  if (first === '}' || first === ')') return token('close', first);
  if (first === '"' || first === '`') return stringAt(rest, from);
  const number = NUMBER.exec(rest);
  if (number !== null) return token('number', number[0]);
  const word = WORD.exec(rest);
  if (word !== null) return token('word', word[0]);
  const operator = OPERATOR.exec(rest);
  if (operator !== null) return token('operator', operator[0]);
  return token('other', first);
}

function stringAt(rest: string, from: number): Token {
  const pattern = rest[0] === '`' ? /^`[^`]*(`?)/ : /^"(?:[^"\\]|\\.)*("?)/s;
  const match = pattern.exec(rest);
  const text = match === null ? rest : match[0];
  const unclosed = match === null || match[1] === '';
  return { kind: 'string', text, from, to: from + text.length, ...(unclosed ? { unclosed } : {}) };
}
