'use strict';
// One version of the service that is deployed: answers after a few
// milliseconds, so that requests are under way whenever something happens.
//
//   node service.js VERSION PORT
//
// Started with fork() by run.js.  {drain: true} makes it fail its health
// check and say so in every answer; it ends when nobody asks any more.
// A SIGKILL ends it with requests open.

const http = require('http');

const [version, port] = [process.argv[2], Number(process.argv[3])];
let draining = false;
let lastAsked = Date.now();

const server = http.createServer((request, response) => {
  if (draining) response.setHeader('x-envoy-immediate-health-check-fail', 'true');
  if (request.url === '/health') {
    response.statusCode = draining ? 503 : 200;
    response.end();
    return;
  }
  lastAsked = Date.now();
  setTimeout(() => response.end(`version ${version}\n`), 2 + Math.random() * 8);
});
server.keepAliveTimeout = 60000;

process.on('message', (message) => {
  if (!message.drain) return;
  draining = true;
  setInterval(() => {
    if (Date.now() - lastAsked > 1500) process.exit(0);
  }, 100);
});
process.on('disconnect', () => process.exit(0));

server.listen(port, '127.0.0.1', () => process.send({ ready: true }));
