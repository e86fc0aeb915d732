// An agent on Node's `eventsource`: it prints each event it is given as a line of JSON, and
// acknowledges it. Arguments: the server's address, an agent id, and how many events to wait for.
import { EventSource } from "eventsource";

const [api, agentId, count] = process.argv.slice(2);
const post = (path, body) =>
  fetch(api + path, { method: "POST", body: JSON.stringify(body) });

await post("/agents/register", { agentId, group: "node" });
const source = new EventSource(`${api}/agents/${agentId}/events`);
let seen = 0;

const take = async (event) => {
  console.log(JSON.stringify({ type: event.type, id: event.lastEventId, data: event.data }));
  if (event.lastEventId) {
    await post(`/agents/${agentId}/commands/${event.lastEventId}/ack`, { data: "node" });
  }
  if (++seen === Number(count)) source.close();
};
// "message" is what an event without a type would be: there should be none.
for (const type of ["config-update", "deep-trace", "replay", "message"]) {
  source.addEventListener(type, take);
}
source.onopen = () => console.log("open");
source.onerror = (error) => console.log(`error ${error.code ?? ""} ${error.message ?? ""}`);
