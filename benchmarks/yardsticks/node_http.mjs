// What is bare in Node: http, and a loop of response.write. GET /events is a stream; what is
// posted to /push is written to all of them, as an event.
import http from "node:http";

const streams = new Set();

const server = http.createServer((request, response) => {
  if (request.method === "GET") {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(": connected\n");
    streams.add(response);
    response.on("close", () => streams.delete(response));
    return;
  }
  let event = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => { event += piece; });
  request.on("end", () => {
    for (const stream of streams) stream.write(event);
    response.writeHead(202, { "Content-Length": 0 });
    response.end();
  });
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`node listening on http://127.0.0.1:${server.address().port}`);
});
process.on("SIGTERM", () => process.exit(0));
