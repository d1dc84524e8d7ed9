// Browsers start no worker for a page that was opened from a directory. The search needs one: run it in a frame.
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #channel = new MessageChannel();
    #frame = document.createElement("iframe");

    constructor(url) {
      super();
      this.#frame.hidden = true;
      document.documentElement.append(this.#frame);
      const { port1, port2 } = this.#channel;
      const inside = this.#frame.contentWindow;
      const receive = (target, event) => {
        const copy = new MessageEvent("message", { data: event.data });
        target.dispatchEvent(copy);
        target.onmessage?.(copy);
      };
      inside.postMessage = (data) => port2.postMessage(data);
      port1.onmessage = (event) => receive(this, event);
      const script = inside.document.createElement("script");
      script.src = new URL(url, document.baseURI);
      // Messages that were sent before wait in the port.
      script.onload = () => {
        port2.onmessage = (event) => receive(inside, event);
      };
      inside.document.head.append(script);
    }

    postMessage(data) {
      this.#channel.port1.postMessage(data);
    }

    terminate() {
      this.#channel.port1.close();
      this.#frame.remove();
    }
  };
}
