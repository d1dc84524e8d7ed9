// Browsers start no worker for a page that was opened from a directory. The search needs one: run it in a frame.
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #inside;
    #ready;

    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      this.#inside = frame.contentWindow;
      this.#inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      this.#ready = new Promise((loaded, failed) => {
        const script = frame.contentDocument.createElement("script");
        script.src = new URL(url, document.baseURI);
        script.onload = loaded;
        script.onerror = failed;
        frame.contentDocument.head.append(script);
      });
    }

    postMessage(data) {
      this.#ready.then(() => {
        const event = new this.#inside.MessageEvent("message", { data });
        this.#inside.dispatchEvent(event);
        this.#inside.onmessage?.(event);
      });
    }

    terminate() {
      this.#inside.frameElement.remove();
    }
  };
}
