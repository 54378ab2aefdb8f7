import com.google.protobuf.ByteString;
import entrepot.v1.Action;
import entrepot.v1.Answer;
import entrepot.v1.ChooseRequest;
import entrepot.v1.ChooseResponse;
import entrepot.v1.Commit;
import entrepot.v1.Confirmed;
import entrepot.v1.CreateTopicRequest;
import entrepot.v1.DeclareQueueRequest;
import entrepot.v1.DeleteQueueRequest;
import entrepot.v1.DeleteTopicRequest;
import entrepot.v1.Delivery;
import entrepot.v1.DeregisterRequest;
import entrepot.v1.DiscoveryGrpc;
import entrepot.v1.GetQueueRequest;
import entrepot.v1.GetSubscriptionRequest;
import entrepot.v1.GetTopicRequest;
import entrepot.v1.Instance;
import entrepot.v1.ListServicesRequest;
import entrepot.v1.ListServicesResponse;
import entrepot.v1.ListSubscriptionsRequest;
import entrepot.v1.ListTopicsRequest;
import entrepot.v1.Live;
import entrepot.v1.Message;
import entrepot.v1.Offsets;
import entrepot.v1.Open;
import entrepot.v1.Policy;
import entrepot.v1.Position;
import entrepot.v1.PublishRequest;
import entrepot.v1.PublishStreamRequest;
import entrepot.v1.PublishStreamResponse;
import entrepot.v1.PublisherGrpc;
import entrepot.v1.PurgeQueueRequest;
import entrepot.v1.Queue;
import entrepot.v1.RegisterRequest;
import entrepot.v1.RenewRequest;
import entrepot.v1.ReportRequest;
import entrepot.v1.RequestManyRequest;
import entrepot.v1.RequestRequest;
import entrepot.v1.RequestResponse;
import entrepot.v1.RequestsGrpc;
import entrepot.v1.ResolveRequest;
import entrepot.v1.ResolveResponse;
import entrepot.v1.SeekSubscriptionRequest;
import entrepot.v1.ServeOpen;
import entrepot.v1.ServeRequest;
import entrepot.v1.ServeResponse;
import entrepot.v1.Settle;
import entrepot.v1.Settlement;
import entrepot.v1.Shared;
import entrepot.v1.Start;
import entrepot.v1.SubscribeRequest;
import entrepot.v1.SubscribeResponse;
import entrepot.v1.SubscriberGrpc;
import entrepot.v1.SubscriptionPosition;
import entrepot.v1.SubscriptionsGrpc;
import entrepot.v1.TopicsGrpc;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What a user of grpc-java does with the generated code, against a broker: one event for each thing that works. */
public final class Generated {
  private static final long PATIENCE_SECONDS = 60;

  private Generated() {}

  public static void main(String[] args) throws Exception {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", Integer.parseInt(args[0])).usePlaintext().build();
    live(channel);
    stream(channel);
    offsets(channel);
    commits(channel);
    shared(channel);
    queue(channel);
    requests(channel);
    errors(channel);
    // What it watches ends with it.
    Context.CancellableContext during = Context.current().withCancellation();
    during.run(() -> discovery(channel));
    during.cancel(null);
    administration(channel);
    check(channel.shutdown().awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS), "all calls end");
  }

  private static void say(String event) {
    System.out.println("{\"event\": \"" + event + "\"}");
  }

  private static void check(boolean is, Object what) {
    if (!is) {
      throw new AssertionError(what);
    }
  }

  /** Answers of a stream, one after the other. */
  private static final class Answers<T> implements StreamObserver<T> {
    private final BlockingQueue<Object> all = new LinkedBlockingQueue<>();

    @Override
    public void onNext(T answer) {
      all.add(answer);
    }

    @Override
    public void onError(Throwable error) {
      all.add(error);
    }

    @Override
    public void onCompleted() {
      all.add("the end");
    }

    Object next() throws InterruptedException {
      Object next = all.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
      check(next != null, "nothing comes");
      return next;
    }
  }

  /** A subscription that is open. */
  private static final class Subscribed {
    private final Answers<SubscribeResponse> told = new Answers<>();
    private final StreamObserver<SubscribeRequest> say;
    private java.util.Iterator<Delivery> left = java.util.Collections.emptyIterator();

    Subscribed(ManagedChannel channel, Open.Builder open) throws InterruptedException {
      say = SubscriberGrpc.newStub(channel).subscribe(told);
      say.onNext(SubscribeRequest.newBuilder().setOpen(open).build());
      // Who shares topics with others is told first what it was given of them.
      SubscribeResponse told = answer();
      while (!told.hasOpened()) {
        told = answer();
      }
    }

    SubscribeResponse answer() throws InterruptedException {
      Object next = told.next();
      check(next instanceof SubscribeResponse, next);
      return (SubscribeResponse) next;
    }

    /** With a number to confirm, waits until it is settled. */
    void settle(long id, Action action, long confirm) throws InterruptedException {
      Settlement settlement = Settlement.newBuilder().addIds(id).setAction(action).build();
      Settle settle = Settle.newBuilder().addSettlements(settlement).setConfirm(confirm).build();
      say.onNext(SubscribeRequest.newBuilder().setSettle(settle).build());
      if (confirm > 0) {
        Confirmed settled = answer().getSettled();
        check(settled.getConfirm() == confirm && settled.getFailuresCount() == 0, settled);
      }
    }

    /** A client that has only said all that it will say would still get messages. */
    void cancel() {
      ((ClientCallStreamObserver<SubscribeRequest>) say).cancel("that is all", null);
    }

    Delivery next() throws InterruptedException {
      while (!left.hasNext()) {
        left = answer().getDeliveries().getDeliveriesList().iterator();
      }
      return left.next();
    }
  }

  private static Message.Builder message(String payload) {
    return Message.newBuilder().setPayload(ByteString.copyFromUtf8(payload));
  }

  private static void live(ManagedChannel channel) throws InterruptedException {
    Live.Builder live = Live.newBuilder().addFilters("java.*");
    Subscribed one = new Subscribed(channel, Open.newBuilder().setLive(live).setCredit(10));
    Message message = message("x").setSubject("java.a").setContentType("").setPriority(0).build();
    int receivers =
        PublisherGrpc.newBlockingStub(channel)
            .publish(PublishRequest.newBuilder().setMessage(message).build())
            .getReceivers();
    check(receivers == 1, receivers);
    Message got = one.next().getMessage();
    check(got.equals(message) && got.hasPriority() && !got.hasCorrelationId(), got);
    one.cancel();
    say("live");
  }

  private static void stream(ManagedChannel channel) throws InterruptedException {
    CreateTopicRequest create = CreateTopicRequest.newBuilder().setName("java").setPartitions(1).build();
    check(TopicsGrpc.newBlockingStub(channel).createTopic(create).getPartitionsCount() == 1, "one");
    Answers<PublishStreamResponse> told = new Answers<>();
    StreamObserver<PublishStreamRequest> say =
        PublisherGrpc.newStub(channel).withCompression("gzip").publishStream(told);
    for (int batch = 0; batch < 100; batch++) {
      PublishStreamRequest.Builder request = PublishStreamRequest.newBuilder();
      for (int n = 0; n < 10; n++) {
        request.addMessages(message(Integer.toString(batch * 10 + n)).setTopic("java"));
      }
      say.onNext(request.build());
    }
    say.onCompleted();
    long decided = 0;
    while (true) {
      Object next = told.next();
      if (next.equals("the end")) {
        break;
      }
      check(next instanceof PublishStreamResponse, next);
      PublishStreamResponse answer = (PublishStreamResponse) next;
      check(answer.getFailuresCount() == 0 && answer.getDecided() > decided, answer);
      decided = answer.getDecided();
    }
    check(decided == 1000, decided);
    say("stream");
  }

  private static void offsets(ManagedChannel channel) throws InterruptedException {
    Offsets.Builder offsets =
        Offsets.newBuilder().addTopics("java").setStart(Start.newBuilder().setEarliest(true));
    Subscribed one = new Subscribed(channel, Open.newBuilder().setOffsets(offsets).setCredit(1000));
    for (int n = 0; n < 1000; n++) {
      Delivery delivery = one.next();
      String payload = delivery.getMessage().getPayload().toStringUtf8();
      check(payload.equals(Integer.toString(n)) && delivery.getPlace().getOffset() == n, delivery);
    }
    one.cancel();
    say("offsets");
  }

  private static void commits(ManagedChannel channel) throws InterruptedException {
    Offsets.Builder offsets =
        Offsets.newBuilder()
            .addTopics("java")
            .setSubscription("java-offsets")
            .setStart(Start.newBuilder().setEarliest(true));
    Subscribed one = new Subscribed(channel, Open.newBuilder().setOffsets(offsets).setCredit(10));
    for (int n = 0; n < 10; n++) {
      check(one.next().getPlace().getOffset() == n, n);
    }
    Position position = Position.newBuilder().setTopic("java").setOffset(5).build();
    Commit commit = Commit.newBuilder().addPositions(position).setConfirm(3).build();
    one.say.onNext(SubscribeRequest.newBuilder().setCommit(commit).build());
    SubscribeResponse answer = one.answer();
    check(answer.getCommitted().getConfirm() == 3, answer);
    check(answer.getCommitted().getFailuresCount() == 0, answer);
    GetSubscriptionRequest get =
        GetSubscriptionRequest.newBuilder().setName("java-offsets").build();
    SubscriptionPosition there =
        SubscriptionsGrpc.newBlockingStub(channel).getSubscription(get).getPositions(0);
    check(there.getPosition().getOffset() == 5 && there.getBehind() == 995, there);
    one.cancel();
    say("commits");
  }

  private static void shared(ManagedChannel channel) throws InterruptedException {
    SeekSubscriptionRequest seek =
        SeekSubscriptionRequest.newBuilder()
            .setName("java-shared")
            .setShared(true)
            .addPositions(Position.newBuilder().setTopic("java").setOffset(998))
            .build();
    check(SubscriptionsGrpc.newBlockingStub(channel).seekSubscription(seek).getShared(), "shared");
    Shared.Builder shared = Shared.newBuilder().addTopics("java").setSubscription("java-shared");
    Subscribed one = new Subscribed(channel, Open.newBuilder().setShared(shared).setCredit(2));
    Delivery first = one.next();
    Delivery second = one.next();
    check(first.getMessage().getPayload().toStringUtf8().equals("998"), first);
    one.settle(first.getId(), Action.ACTION_ACCEPT, 1);
    one.say.onNext(SubscribeRequest.newBuilder().setCredit(1).build());
    one.settle(second.getId(), Action.ACTION_RETURN, 0);
    Delivery again = one.next();
    check(again.getMessage().equals(second.getMessage()) && again.getRedeliveries() == 1, again);
    one.settle(again.getId(), Action.ACTION_ACCEPT, 2);
    one.cancel();
    say("shared");
  }

  private static void queue(ManagedChannel channel) throws InterruptedException {
    DeclareQueueRequest declare = DeclareQueueRequest.newBuilder().setName("java-queue").build();
    TopicsGrpc.newBlockingStub(channel).declareQueue(declare);
    Message message = message("job").setQueue("java-queue").build();
    PublisherGrpc.newBlockingStub(channel)
        .publish(PublishRequest.newBuilder().setMessage(message).build());
    Queue.Builder queue = Queue.newBuilder().setName("java-queue");
    Subscribed one = new Subscribed(channel, Open.newBuilder().setQueue(queue).setCredit(10));
    one.settle(one.next().getId(), Action.ACTION_ACCEPT, 3);
    one.cancel();
    say("queue");
  }

  /** Answers with what it is asked, the last time with that it is enough. */
  private static final class Echo implements StreamObserver<ServeResponse> {
    private final CountDownLatch opened = new CountDownLatch(1);
    private StreamObserver<ServeRequest> say;

    @Override
    public void onNext(ServeResponse told) {
      if (told.hasOpened()) {
        opened.countDown();
        return;
      }
      Message message = told.getAsked().getMessage();
      Message payload = Message.newBuilder().setPayload(message.getPayload()).build();
      for (boolean more : new boolean[] {true, false}) {
        Answer answer =
            Answer.newBuilder()
                .setId(told.getAsked().getId())
                .setMessage(payload)
                .setMore(more && message.getSubject().endsWith("twice"))
                .build();
        if (!more || answer.getMore()) {
          say.onNext(ServeRequest.newBuilder().setAnswer(answer).build());
        }
      }
    }

    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }

  private static void requests(ManagedChannel channel) throws InterruptedException {
    Echo echo = new Echo();
    echo.say = RequestsGrpc.newStub(channel).serve(echo);
    ServeOpen open = ServeOpen.newBuilder().addFilters("java.svc.*").setCredit(10).build();
    echo.say.onNext(ServeRequest.newBuilder().setOpen(open).build());
    check(echo.opened.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "it is opened");
    RequestsGrpc.RequestsBlockingStub stub =
        RequestsGrpc.newBlockingStub(channel).withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS);
    Message once = message("question").setSubject("java.svc.once").build();
    Message answer = stub.request(RequestRequest.newBuilder().setMessage(once).build()).getMessage();
    check(answer.getPayload().equals(once.getPayload()), answer);
    Message twice = message("question").setSubject("java.svc.twice").build();
    int answers = 0;
    java.util.Iterator<RequestResponse> all =
        stub.requestMany(RequestManyRequest.newBuilder().setMessage(twice).build());
    while (all.hasNext()) {
      check(all.next().getMessage().getPayload().equals(twice.getPayload()), answers);
      answers++;
    }
    check(answers == 2, answers);
    ((ClientCallStreamObserver<ServeRequest>) echo.say).cancel("that is all", null);
    say("requests");
  }

  private static void discovery(ManagedChannel channel) {
    DiscoveryGrpc.DiscoveryBlockingStub stub = DiscoveryGrpc.newBlockingStub(channel);
    ResolveRequest resolve = ResolveRequest.newBuilder().setService("java-web").build();
    java.util.Iterator<ResolveResponse> watch =
        stub.withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS).watch(resolve);
    check(watch.next().getInstancesCount() == 0, "nobody yet");
    Instance.Builder instance =
        Instance.newBuilder().setService("java-web").setAddress("h").setPort(1).setWeight(1);
    ByteString lease = ByteString.EMPTY;
    for (String id : new String[] {"a", "b"}) {
      RegisterRequest register =
          RegisterRequest.newBuilder().setInstance(instance.setId(id)).setLeaseMs(60_000).build();
      lease = stub.register(register).getLease();
      check(watch.next().getInstancesList().stream().anyMatch(one -> one.getId().equals(id)), id);
    }
    ChooseRequest choose =
        ChooseRequest.newBuilder()
            .setService("java-web")
            .setPolicy(Policy.POLICY_LEAST_CONNECTIONS)
            .setReports(true)
            .build();
    ChooseResponse one = stub.choose(choose);
    check(!stub.choose(choose).getInstance().getId().equals(one.getInstance().getId()), one);
    stub.report(ReportRequest.newBuilder().setTicket(one.getTicket()).setTookUs(100).build());
    check(stub.choose(choose).getInstance().getId().equals(one.getInstance().getId()), one);
    check(stub.renew(RenewRequest.newBuilder().setLease(lease).build()).getLeaseMs() == 60_000, "b");
    stub.deregister(
        DeregisterRequest.newBuilder().setService("java-web").setId("b").setLease(lease).build());
    check(watch.next().getInstancesCount() == 1, "b is gone");
    check(stub.resolve(resolve).getInstances(0).getId().equals("a"), "a is left");
    ListServicesResponse services = stub.listServices(ListServicesRequest.getDefaultInstance());
    check(services.getServicesList().contains("java-web"), services);
    say("discovery");
  }

  private static void administration(ManagedChannel channel) {
    TopicsGrpc.TopicsBlockingStub topics = TopicsGrpc.newBlockingStub(channel);
    ListTopicsRequest list = ListTopicsRequest.newBuilder().setPrefix("java").build();
    check(topics.listTopics(list).getTopics(0).getPartitions(0).getEnd() == 1000, "all are there");
    ListSubscriptionsRequest known = ListSubscriptionsRequest.newBuilder().setPrefix("java-").build();
    check(
        SubscriptionsGrpc.newBlockingStub(channel).listSubscriptions(known).getSubscriptionsCount() == 2,
        "two");
    topics.declareQueue(DeclareQueueRequest.newBuilder().setName("java-other").build());
    Message message = message("job").setQueue("java-other").build();
    PublisherGrpc.newBlockingStub(channel)
        .publish(PublishRequest.newBuilder().setMessage(message).build());
    GetQueueRequest get = GetQueueRequest.newBuilder().setName("java-other").build();
    check(topics.getQueue(get).getReady() == 1, "one");
    PurgeQueueRequest purge = PurgeQueueRequest.newBuilder().setName("java-other").build();
    check(topics.purgeQueue(purge).getMessages() == 1, "one");
    topics.deleteQueue(DeleteQueueRequest.newBuilder().setName("java-other").build());
    topics.deleteTopic(DeleteTopicRequest.newBuilder().setName("java").build());
    check(
        topics.listTopics(list).getTopicsList().stream().noneMatch(one -> one.getName().equals("java")),
        "it is gone");
    say("administration");
  }

  private static void errors(ManagedChannel channel) {
    Status.Code code = null;
    try {
      GetTopicRequest get = GetTopicRequest.newBuilder().setName("none").build();
      TopicsGrpc.newBlockingStub(channel).getTopic(get);
    } catch (StatusRuntimeException error) {
      code = error.getStatus().getCode();
    }
    check(code == Status.Code.NOT_FOUND, code);
    try {
      Message message = message("question").setSubject("nobody").build();
      RequestsGrpc.newBlockingStub(channel)
          .withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS)
          .request(RequestRequest.newBuilder().setMessage(message).build());
    } catch (StatusRuntimeException error) {
      code = error.getStatus().getCode();
    }
    check(code == Status.Code.UNAVAILABLE, code);
    say("errors");
  }
}
