// Clients and servers that people really use, on both sides of the proxy.
//
//   node interop.js servers            prints "listening GRPC WS" (ports) and serves until it is ended
//   node interop.js grpc PORT          unary, server stream, client stream, bidirectional, status, deadline
//   node interop.js ws PORT            WebSocket through HTTP/1: text, binary, 1 MiB, close code
//   node interop.js ws-h2 PORT         the same bytes through an extended CONNECT of HTTP/2
//
// Exit status 0 when everything was as it should be; otherwise the reason on stderr.
'use strict';
const assert = require('node:assert');
const http2 = require('node:http2');
const grpc = require('@grpc/grpc-js');
const { WebSocket, WebSocketServer } = require('ws');

const text = { serialize: (s) => Buffer.from(s), deserialize: (b) => b.toString() };
function method(path, requestStream, responseStream) {
  return {
    path: `/test.Echo/${path}`, requestStream, responseStream,
    requestSerialize: text.serialize, requestDeserialize: text.deserialize,
    responseSerialize: text.serialize, responseDeserialize: text.deserialize,
  };
}
const service = {
  unary: method('Unary', false, false),
  down: method('Down', false, true),
  up: method('Up', true, false),
  both: method('Both', true, true),
};

function serveGrpc() {
  const server = new grpc.Server();
  server.addService(service, {
    unary(call, done) {
      const trailers = new grpc.Metadata();
      trailers.set('x-end', 'yes');
      if (call.request === 'fail') done({ code: grpc.status.NOT_FOUND, details: 'nobody: here' });
      else if (call.request === 'never') return;
      else done(null, `echo ${call.request}`, trailers);
    },
    down(call) {
      for (let i = 0; i < 100; i++) call.write(`${call.request} ${i}`);
      call.end();
    },
    up(call, done) {
      let n = 0;
      call.on('data', (m) => { n += m.length; });
      call.on('end', () => done(null, String(n)));
    },
    both(call) {
      call.on('data', (m) => call.write(m));
      call.on('end', () => call.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
      (err, port) => (err ? reject(err) : resolve(port)));
  });
}

function serveWs() {
  return new Promise((resolve) => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 8 << 20 });
    server.on('connection', (c) => c.on('message', (m, binary) => {
      if (!binary && m.toString() === 'bye') c.close(4001, 'told to');
      else c.send(m, { binary });
    }));
    server.on('listening', () => resolve(server.address().port));
  });
}

async function checkGrpc(port) {
  const Client = grpc.makeGenericClientConstructor(service, 'test.Echo');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  await new Promise((resolve, reject) => {
    const call = client.unary('hello', (err, answer) => {
      if (err) return reject(err);
      assert.strictEqual(answer, 'echo hello');
    });
    call.on('status', (s) => {
      assert.strictEqual(s.metadata.get('x-end')[0], 'yes');
      resolve();
    });
  });
  await new Promise((resolve) => client.unary('fail', (err) => {
    assert.strictEqual(err.code, grpc.status.NOT_FOUND);
    assert.strictEqual(err.details, 'nobody: here');
    resolve();
  }));
  await new Promise((resolve) => client.unary('never', { deadline: Date.now() + 300 }, (err) => {
    assert.strictEqual(err.code, grpc.status.DEADLINE_EXCEEDED);
    resolve();
  }));
  let got = 0;
  for await (const m of client.down('x')) assert.strictEqual(m, `x ${got++}`);
  assert.strictEqual(got, 100);
  await new Promise((resolve, reject) => {
    const call = client.up((err, answer) => {
      if (err) return reject(err);
      assert.strictEqual(answer, String(64 * 20000));
      resolve();
    });
    for (let i = 0; i < 64; i++) call.write('y'.repeat(20000));
    call.end();
  });
  const call = client.both();
  let n = 0;
  call.write('m0');
  for await (const m of call) {
    assert.strictEqual(m, `m${n++}`);
    if (n < 50) call.write(`m${n}`);
    else call.end();
  }
  assert.strictEqual(n, 50);
  client.close();
}

function checkWs(port) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, { maxPayload: 8 << 20 });
    const messages = ['hello', Buffer.alloc(1 << 20, 7), 'bye'];
    let at = 0;
    ws.on('error', reject);
    ws.on('open', () => ws.send(messages[0]));
    ws.on('message', (m) => {
      assert.ok(Buffer.from(messages[at]).equals(Buffer.from(m)));
      ws.send(messages[++at]);
    });
    ws.on('close', (code, why) => {
      assert.strictEqual(code, 4001);
      assert.strictEqual(why.toString(), 'told to');
      resolve();
    });
  });
}

// One masked text frame (RFC 6455, 5.2) with a mask of zeros.
function frame(s) {
  const b = Buffer.from(s);
  return Buffer.concat([Buffer.from([0x81, 0x80 | b.length, 0, 0, 0, 0]), b]);
}

function checkWsH2(port) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    session.once('remoteSettings', (settings) => {
      assert.strictEqual(settings.enableConnectProtocol, true);
      const stream = session.request({
        ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws', ':scheme': 'http',
        ':authority': 'localhost', 'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      });
      let got = Buffer.alloc(0);
      stream.on('error', reject);
      stream.on('response', (h) => {
        assert.strictEqual(h[':status'], 200);
        stream.write(frame('over h2'));
      });
      stream.on('data', (d) => {
        got = Buffer.concat([got, d]);
        if (got.length < 9) return;
        assert.strictEqual(got.subarray(2, 9).toString(), 'over h2');
        stream.close();
        session.close();
        resolve();
      });
    });
  });
}

async function main() {
  const [what, port] = process.argv.slice(2);
  if (what === 'servers') {
    console.log(`listening ${await serveGrpc()} ${await serveWs()}`);
    return;
  }
  const checks = { grpc: checkGrpc, ws: checkWs, 'ws-h2': checkWsH2 };
  await checks[what](port);
  process.exit(0);
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
