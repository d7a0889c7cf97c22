'use strict';
// A control plane with one job: it tells every proxy that asks, over gRPC
// (EndpointDiscoveryService.StreamEndpoints), which endpoints a cluster has.
//
// Started with fork() by run.js, which sends {set: {services: [port, …]}}
// whenever the members change; every open stream then gets an update.
// Prints what proxies ask, accept and refuse.

const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const protobuf = require('protobufjs');

const port = Number(process.argv[2] || 9977);
const TYPE = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';

// Envoy's own .proto files come with @grpc/grpc-js-xds, Google's basic ones with protobufjs.
const folderOf = (name) => path.dirname(require.resolve(`${name}/package.json`));
const deps = path.join(folderOf('@grpc/grpc-js-xds'), 'deps');
const folders = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((f) => path.join(deps, f));
folders.push(folderOf('protobufjs'));
const root = new protobuf.Root();
root.resolvePath = (from, name) => {
  const folder = folders.find((f) => fs.existsSync(path.join(f, name)));
  return folder ? path.join(folder, name) : name;
};
root.loadSync(['envoy/service/endpoint/v3/eds.proto', 'envoy/config/endpoint/v3/endpoint.proto'],
  { keepCase: true });

const Request = root.lookupType('envoy.service.discovery.v3.DiscoveryRequest');
const Response = root.lookupType('envoy.service.discovery.v3.DiscoveryResponse');
const Assignment = root.lookupType('envoy.config.endpoint.v3.ClusterLoadAssignment');

const say = (text) => console.log(`control plane: ${text}`);

let version = 0;
let members = {}; // cluster -> [port, …]
const streams = new Set();

function assignment(cluster) {
  const message = Assignment.fromObject({
    cluster_name: cluster,
    endpoints: [{
      lb_endpoints: members[cluster].map((p) => ({
        endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: p } } },
      })),
    }],
  });
  return { type_url: TYPE, value: Assignment.encode(message).finish() };
}

function answer(stream) {
  const known = stream.names.filter((name) => members[name]);
  if (known.length === 0) return;
  stream.nonce = String(++stream.sent);
  stream.call.write({
    version_info: String(version),
    type_url: TYPE,
    nonce: stream.nonce,
    resources: known.map(assignment),
  });
}

function streamEndpoints(call) {
  const stream = { call, names: [], nonce: '', sent: 0, who: '?' };
  streams.add(stream);
  call.on('data', (request) => {
    if (request.node && request.node.id) stream.who = `${request.node.cluster}/${request.node.id}`;
    if (request.error_detail) {
      say(`${stream.who} refused version ${version}: ${request.error_detail.message}`);
      return;
    }
    const names = request.resource_names || [];
    const asked = names.some((name) => !stream.names.includes(name));
    stream.names = names;
    if (request.response_nonce === '' || asked) {
      say(`${stream.who} asks for ${names.join(', ')}`);
      answer(stream);
    } else if (request.response_nonce === stream.nonce) {
      say(`${stream.who} uses version ${request.version_info}`);
    }
  });
  const over = () => streams.delete(stream);
  call.on('end', () => { over(); call.end(); });
  call.on('error', over);
  call.on('cancelled', over);
}

const service = {
  StreamEndpoints: {
    path: '/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints',
    requestStream: true,
    responseStream: true,
    requestSerialize: (m) => Buffer.from(Request.encode(Request.fromObject(m)).finish()),
    requestDeserialize: (b) => Request.decode(b),
    responseSerialize: (m) => Buffer.from(Response.encode(Response.fromObject(m)).finish()),
    responseDeserialize: (b) => Response.decode(b),
  },
};

process.on('message', ({ set }) => {
  members = set;
  version++;
  for (const stream of streams) answer(stream);
});
process.on('disconnect', () => process.exit(0));

const server = new grpc.Server();
server.addService(service, { StreamEndpoints: streamEndpoints });
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (err) => {
  if (err) {
    console.error(`control plane: ${err.message}`);
    process.exit(1);
  }
  process.send({ ready: true });
});
