// A subscriber, a responder or an asker with nats.go. Arguments: the URL, the role, and its subject.
package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

type event map[string]any

func say(event event) {
	if err := json.NewEncoder(os.Stdout).Encode(event); err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func tell(msg *nats.Msg) {
	say(event{"event": "message", "subject": msg.Subject, "text": string(msg.Data), "headers": msg.Header})
}

func answer(msg *nats.Msg) {
	number := must(strconv.Atoi(string(msg.Data)))
	must(0, msg.Respond([]byte(strconv.Itoa(2*number))))
	say(event{"event": "answered", "to": msg.Reply})
}

func main() {
	url, role, subject := os.Args[1], os.Args[2], os.Args[3]
	nc := must(nats.Connect(url, nats.Timeout(20*time.Second)))
	defer nc.Close()
	switch role {
	case "ask":
		reply := must(nc.Request(subject, []byte("21"), time.Minute))
		say(event{"event": "answer", "text": string(reply.Data)})
		return
	case "respond":
		must(nc.Subscribe(subject, answer))
	default:
		must(nc.Subscribe(subject, tell))
	}
	must(0, nc.Flush())
	say(event{"event": "ready"})
	must(io.ReadAll(os.Stdin))
}
