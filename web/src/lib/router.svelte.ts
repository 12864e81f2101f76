// The address as reactive state. Links are ordinary links; a plain click on one of ours is taken here.

class Router {
  path = $state(location.pathname);
  params = $state.raw(new URLSearchParams(location.search));
  /** Address of the last search, so that "Search" leads back to it. */
  lastSearch = $state('/');
  /** The same for "Edge". */
  lastEdge = $state('/edge');

  constructor() {
    window.addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#click(event));
    this.#read();
  }

  /** Goes to an address of ours. */
  go(href: string): void {
    history.pushState(null, '', href);
    this.#read();
    document.querySelector('main')?.scrollTo(0, 0);
  }

  /** Changes the address without a step in the history. */
  replace(href: string): void {
    if (href === location.pathname + location.search) return;
    history.replaceState(history.state, '', href);
    this.#read();
  }

  #read(): void {
    this.path = location.pathname;
    this.params = new URLSearchParams(location.search);
    if (location.pathname === '/') this.lastSearch = location.pathname + location.search;
    if (location.pathname === '/edge') this.lastEdge = location.pathname + location.search;
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (link === null || link.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname.startsWith('/api/')) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
