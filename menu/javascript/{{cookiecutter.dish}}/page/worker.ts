/** The service worker: what the page keeps is there without a network. */
addEventListener("fetch", ((it: FetchEvent) => it.respondWith(respond(it.request))) as EventListener);

/** A file with a hash in its name never changes; the page is new whenever there is a network. */
async function respond(request: Request): Promise<Response> {
  const kept = await caches.match(request, { ignoreSearch: true });
  if (kept && /-[A-Z0-9]{8}\.\w+$/.test(request.url)) return kept;
  return fetch(request).catch((error) => kept ?? Promise.reject(error));
}
