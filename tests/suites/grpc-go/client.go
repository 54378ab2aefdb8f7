// What a user of grpc-go does with the generated code, against a broker: one event for each thing that works.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "client/entrepot/v1"
)

func say(name string) {
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"event": name}); err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(is bool, what string, with ...any) {
	if !is {
		panic(fmt.Sprintf(what, with...))
	}
}

// A subscription that is open.
type subscribed struct {
	stream grpc.BidiStreamingClient[pb.SubscribeRequest, pb.SubscribeResponse]
	left   []*pb.Delivery
}

func subscribe(ctx context.Context, conn *grpc.ClientConn, open *pb.Open) *subscribed {
	stream := must(pb.NewSubscriberClient(conn).Subscribe(ctx))
	must(0, stream.Send(&pb.SubscribeRequest{Request: &pb.SubscribeRequest_Open{Open: open}}))
	for must(stream.Recv()).GetOpened() == nil {
	}
	return &subscribed{stream: stream}
}

func (s *subscribed) next() *pb.Delivery {
	for len(s.left) == 0 {
		s.left = must(s.stream.Recv()).GetDeliveries().GetDeliveries()
	}
	delivery := s.left[0]
	s.left = s.left[1:]
	return delivery
}

func (s *subscribed) settle(action pb.Action, confirm uint64, ids ...uint64) {
	settle := &pb.Settle{Settlements: []*pb.Settlement{{Ids: ids, Action: action}}, Confirm: confirm}
	must(0, s.stream.Send(&pb.SubscribeRequest{Request: &pb.SubscribeRequest_Settle{Settle: settle}}))
	if confirm > 0 {
		told := must(s.stream.Recv()).GetSettled()
		check(told.GetConfirm() == confirm && len(told.GetFailures()) == 0, "settled %v", told)
	}
}

func live(ctx context.Context, conn *grpc.ClientConn) {
	from := &pb.Open_Live{Live: &pb.Live{Filters: []string{"go.>"}}}
	one := subscribe(ctx, conn, &pb.Open{From: from, Credit: 100})
	message := &pb.Message{
		Subject: "go.a", Payload: []byte{0, 255}, ContentType: proto.String(""), Priority: proto.Uint32(9),
		Headers: []*pb.Header{{Name: "h", Value: []byte{}}, {Name: "h"}},
	}
	published := must(pb.NewPublisherClient(conn).Publish(ctx, &pb.PublishRequest{Message: message}))
	check(published.Receivers == 1, "%v", published)
	got := one.next().Message
	check(proto.Equal(got, message), "%v", got)
	say("live")
}

func stream(ctx context.Context, conn *grpc.ClientConn) {
	topics := pb.NewTopicsClient(conn)
	must(topics.CreateTopic(ctx, &pb.CreateTopicRequest{Name: "go", Partitions: 1}))
	stream := must(pb.NewPublisherClient(conn).PublishStream(ctx, grpc.UseCompressor(gzip.Name)))
	go func() {
		for batch := range 100 {
			var messages []*pb.Message
			for n := range 10 {
				payload := fmt.Appendf(nil, "%d", batch*10+n)
				messages = append(messages, &pb.Message{Topic: "go", Payload: payload})
			}
			must(0, stream.Send(&pb.PublishStreamRequest{Messages: messages}))
		}
		must(0, stream.CloseSend())
	}()
	var decided uint64
	for decided < 1000 {
		answer := must(stream.Recv())
		check(len(answer.Failures) == 0, "%v", answer)
		decided = answer.Decided
	}
	say("stream")
}

func offsets(ctx context.Context, conn *grpc.ClientConn) {
	start := &pb.Start{At: &pb.Start_Earliest{Earliest: true}}
	from := &pb.Open_Offsets{Offsets: &pb.Offsets{Topics: []string{"go"}, Start: start}}
	one := subscribe(ctx, conn, &pb.Open{From: from, Credit: 1000})
	for n := range int64(1000) {
		delivery := one.next()
		check(string(delivery.Message.Payload) == fmt.Sprint(n) && delivery.Place.Offset == n, "%v", delivery)
	}
	say("offsets")
}

func commits(ctx context.Context, conn *grpc.ClientConn) {
	start := &pb.Start{At: &pb.Start_Earliest{Earliest: true}}
	from := &pb.Open_Offsets{Offsets: &pb.Offsets{Topics: []string{"go"}, Subscription: "go-offsets", Start: start}}
	one := subscribe(ctx, conn, &pb.Open{From: from, Credit: 10})
	for n := range int64(10) {
		check(one.next().Place.Offset == n, "%d", n)
	}
	commit := &pb.Commit{Positions: []*pb.Position{{Topic: "go", Offset: 5}}, Confirm: 3}
	must(0, one.stream.Send(&pb.SubscribeRequest{Request: &pb.SubscribeRequest_Commit{Commit: commit}}))
	committed := must(one.stream.Recv()).GetCommitted()
	check(committed.GetConfirm() == 3 && len(committed.GetFailures()) == 0, "%v", committed)
	subscriptions := pb.NewSubscriptionsClient(conn)
	there := must(subscriptions.GetSubscription(ctx, &pb.GetSubscriptionRequest{Name: "go-offsets"})).Positions[0]
	check(there.Position.Offset == 5 && there.Behind == 995, "%v", there)
	say("commits")
}

func shared(ctx context.Context, conn *grpc.ClientConn) {
	subscriptions := pb.NewSubscriptionsClient(conn)
	positions := []*pb.Position{{Topic: "go", Offset: 995}}
	must(subscriptions.SeekSubscription(ctx, &pb.SeekSubscriptionRequest{Name: "go-shared", Shared: true, Positions: positions}))
	from := &pb.Open_Shared{Shared: &pb.Shared{Topics: []string{"go"}, Subscription: "go-shared"}}
	one := subscribe(ctx, conn, &pb.Open{From: from, Credit: 5})
	var ids []uint64
	for n := range 5 {
		delivery := one.next()
		check(string(delivery.Message.Payload) == fmt.Sprint(995+n), "%v", delivery)
		ids = append(ids, delivery.Id)
	}
	one.settle(pb.Action_ACTION_EXTEND, 1, ids[0])
	one.settle(pb.Action_ACTION_ACCEPT, 2, ids[:4]...)
	must(0, one.stream.Send(&pb.SubscribeRequest{Request: &pb.SubscribeRequest_Credit{Credit: 1}}))
	one.settle(pb.Action_ACTION_RETURN, 0, ids[4])
	again := one.next()
	check(string(again.Message.Payload) == "999" && again.Redeliveries == 1, "%v", again)
	one.settle(pb.Action_ACTION_ACCEPT, 3, again.Id)
	say("shared")
}

func queue(ctx context.Context, conn *grpc.ClientConn) {
	topics, publisher := pb.NewTopicsClient(conn), pb.NewPublisherClient(conn)
	must(topics.DeclareQueue(ctx, &pb.DeclareQueueRequest{Name: "go-queue"}))
	for n := range 3 {
		message := &pb.Message{Queue: "go-queue", Payload: []byte{byte(n)}}
		must(publisher.Publish(ctx, &pb.PublishRequest{Message: message}))
	}
	from := &pb.Open_Queue{Queue: &pb.Queue{Name: "go-queue"}}
	one := subscribe(ctx, conn, &pb.Open{From: from, Credit: 10})
	first, second, third := one.next(), one.next(), one.next()
	one.settle(pb.Action_ACTION_RETURN, 0, third.Id)
	again := one.next()
	check(again.Redeliveries == 1 && again.Message.Payload[0] == 2, "%v", again)
	one.settle(pb.Action_ACTION_ACCEPT, 7, first.Id, second.Id, again.Id)
	info := must(topics.GetQueue(ctx, &pb.GetQueueRequest{Name: "go-queue"}))
	check(info.Ready == 0 && info.Held == 0, "%v", info)
	say("queue")
}

func requests(ctx context.Context, conn *grpc.ClientConn) {
	client := pb.NewRequestsClient(conn)
	responder := must(client.Serve(ctx))
	open := &pb.ServeOpen{Filters: []string{"go.svc"}, Credit: 10}
	must(0, responder.Send(&pb.ServeRequest{Request: &pb.ServeRequest_Open{Open: open}}))
	must(responder.Recv())
	go func() {
		for {
			told, err := responder.Recv()
			if err != nil {
				return
			}
			asked := told.GetAsked()
			answer := &pb.Answer{Id: asked.Id, Answer: &pb.Answer_Message{Message: &pb.Message{Payload: asked.Message.Payload}}}
			must(0, responder.Send(&pb.ServeRequest{Request: &pb.ServeRequest_Answer{Answer: answer}}))
		}
	}()
	message := &pb.Message{Subject: "go.svc", Payload: []byte("question")}
	answer := must(client.Request(ctx, &pb.RequestRequest{Message: message}))
	check(string(answer.Message.Payload) == "question", "%v", answer)
	many := must(client.RequestMany(ctx, &pb.RequestManyRequest{Message: message, AnswersMax: 1}))
	check(string(must(many.Recv()).Message.Payload) == "question", "many")
	_, err := client.Request(ctx, &pb.RequestRequest{Message: &pb.Message{Subject: "nobody"}})
	check(status.Code(err) == codes.Unavailable, "%v", err)
	say("requests")
}

func errors(ctx context.Context, conn *grpc.ClientConn) {
	_, err := pb.NewTopicsClient(conn).GetTopic(ctx, &pb.GetTopicRequest{Name: "none"})
	failed := status.Convert(err)
	check(failed.Code() == codes.NotFound, "%v", failed)
	is := func(detail any) bool {
		info, ok := detail.(*errdetails.ResourceInfo)
		return ok && info.ResourceName == "none"
	}
	check(slices.ContainsFunc(failed.Details(), is), "%v", failed.Details())
	say("errors")
}

func discovery(ctx context.Context, conn *grpc.ClientConn) {
	client := pb.NewDiscoveryClient(conn)
	watch := must(client.Watch(ctx, &pb.ResolveRequest{Service: "go-web"}))
	check(len(must(watch.Recv()).Instances) == 0, "nobody yet")
	leases := map[string][]byte{}
	for number, id := range []string{"a", "b"} {
		instance := &pb.Instance{Service: "go-web", Id: id, Address: "h", Port: 1, Metadata: map[string]string{"zone": "z"}}
		leases[id] = must(client.Register(ctx, &pb.RegisterRequest{Instance: instance, LeaseMs: 60_000})).Lease
		check(len(must(watch.Recv()).Instances) == number+1, "%s is seen", id)
	}
	chosen := map[string]int{}
	for range 10 {
		chosen[must(client.Choose(ctx, &pb.ChooseRequest{Service: "go-web"})).Instance.Id]++
	}
	check(chosen["a"] == 5 && chosen["b"] == 5, "%v", chosen)
	least := &pb.ChooseRequest{Service: "go-web", Policy: pb.Policy_POLICY_LEAST_CONNECTIONS, Reports: true}
	one, two := must(client.Choose(ctx, least)), must(client.Choose(ctx, least))
	check(one.Instance.Id != two.Instance.Id, "%v %v", one, two)
	must(client.Report(ctx, &pb.ReportRequest{Ticket: one.Ticket, TookUs: proto.Uint64(100)}))
	check(must(client.Choose(ctx, least)).Instance.Id == one.Instance.Id, "it has nothing to do again")
	check(must(client.Renew(ctx, &pb.RenewRequest{Lease: leases["a"]})).LeaseMs == 60_000, "as asked for")
	must(client.Deregister(ctx, &pb.DeregisterRequest{Service: "go-web", Id: "a", Lease: leases["a"]}))
	check(len(must(watch.Recv()).Instances) == 1, "a is gone")
	left := must(client.Resolve(ctx, &pb.ResolveRequest{Service: "go-web"})).Instances
	check(len(left) == 1 && left[0].Id == "b" && left[0].Metadata["zone"] == "z", "%v", left)
	services := must(client.ListServices(ctx, &pb.ListServicesRequest{})).Services
	check(slices.Contains(services, "go-web"), "%v", services)
	say("discovery")
}

func administration(ctx context.Context, conn *grpc.ClientConn) {
	topics, subscriptions := pb.NewTopicsClient(conn), pb.NewSubscriptionsClient(conn)
	listed := must(topics.ListTopics(ctx, &pb.ListTopicsRequest{Prefix: "go"})).Topics
	is := func(topic *pb.Topic) bool { return topic.Name == "go" && topic.Partitions[0].End == 1000 }
	check(slices.ContainsFunc(listed, is), "%v", listed)
	known := must(subscriptions.ListSubscriptions(ctx, &pb.ListSubscriptionsRequest{Prefix: "go-"})).Subscriptions
	check(len(known) == 2, "%v", known)
	must(topics.DeclareQueue(ctx, &pb.DeclareQueueRequest{Name: "go-other"}))
	must(pb.NewPublisherClient(conn).Publish(ctx, &pb.PublishRequest{Message: &pb.Message{Queue: "go-other"}}))
	check(must(topics.PurgeQueue(ctx, &pb.PurgeQueueRequest{Name: "go-other"})).Messages == 1, "one")
	must(topics.DeleteQueue(ctx, &pb.DeleteQueueRequest{Name: "go-other"}))
	must(topics.CreateTopic(ctx, &pb.CreateTopicRequest{Name: "go-other-topic", Partitions: 3}))
	must(topics.DeleteTopic(ctx, &pb.DeleteTopicRequest{Name: "go-other-topic"}))
	_, err := topics.GetTopic(ctx, &pb.GetTopicRequest{Name: "go-other-topic"})
	check(status.Code(err) == codes.NotFound, "%v", err)
	say("administration")
}

func health(ctx context.Context, conn *grpc.ClientConn) {
	told := must(grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}))
	check(told.Status == grpc_health_v1.HealthCheckResponse_SERVING, "%v", told)
	say("health")
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	alive := keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}
	conn := must(grpc.NewClient("127.0.0.1:"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithKeepaliveParams(alive)))
	defer conn.Close()
	for _, part := range []func(context.Context, *grpc.ClientConn){live, stream, offsets, commits, shared, queue, requests, errors, discovery, administration, health} {
		part(ctx, conn)
	}
}
