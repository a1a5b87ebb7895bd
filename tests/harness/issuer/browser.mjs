// browser.mjs URL NAME: walks an issuer's pages from URL as somebody who logs in by NAME and agrees to whatever is asked.
// Prints the address of the last page and its text.
let [url, name] = [new URL(process.argv[2]), process.argv[3]];
const PAGES_MAX = 30;
const cookies = new Map();

const keep = (response) => {
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const key = pair.slice(0, pair.indexOf('='));
    const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice(5) ?? '/';
    cookies.set(`${key} ${path}`, { pair, path });
  }
};
const shown = (to) =>
  [...cookies.values()].filter(({ path }) => to.pathname.startsWith(path)).map(({ pair }) => pair).join('; ');
const attribute = (tag, key) => new RegExp(`\\b${key}="([^"]*)"`).exec(tag)?.[1];

/** The first form of a page, filled in; undefined: it has none. */
const filled = (page) => {
  const form = /<form[^>]*>[\s\S]*?<\/form>/.exec(page)?.[0];
  if (!form) return undefined;
  const body = new URLSearchParams();
  for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
    const key = attribute(tag, 'name');
    if (key) body.set(key, key === 'login' ? name : key === 'password' ? 'any' : (attribute(tag, 'value') ?? ''));
  }
  return { action: attribute(form, 'action'), body };
};

let body;
for (let pages = 0; pages < PAGES_MAX; pages += 1) {
  const method = body ? 'POST' : 'GET';
  const response = await fetch(url, { method, body, redirect: 'manual', headers: { cookie: shown(url) } });
  keep(response);
  const location = response.headers.get('location');
  if (location) {
    [url, body] = [new URL(location, url), undefined];
    continue;
  }
  const page = await response.text();
  const next = response.ok ? filled(page) : undefined;
  if (!next) {
    console.log(response.status, url.href);
    console.log(page.replace(/<(script|style)[\s\S]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim());
    process.exit(response.ok ? 0 : 1);
  }
  [url, body] = [new URL(next.action ?? url, url), next.body];
}
console.log('the pages do not end');
process.exit(1);
