// An operator's program on Node's `eventsource`: it prints each event of the feed as a line of JSON.
// Arguments: the feed's address, and how many events to wait for.
import { EventSource } from "eventsource";

const [feed, count] = process.argv.slice(2);
const source = new EventSource(feed);
// While it waits to come back, eventsource lets the process end.
const awake = setInterval(() => {}, 1000);
let seen = 0;

for (const type of ["agent-registered", "reset", "message"]) {
  source.addEventListener(type, (event) => {
    console.log(JSON.stringify({ type: event.type, id: event.lastEventId, data: event.data }));
    if (++seen === Number(count)) {
      source.close();
      clearInterval(awake);
    }
  });
}
source.addEventListener("position", () => console.log("position"));
source.onopen = () => console.log("open");
