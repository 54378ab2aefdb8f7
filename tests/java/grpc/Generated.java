import com.google.protobuf.ByteString;
import entrepot.v1.Action;
import entrepot.v1.CreateTopicRequest;
import entrepot.v1.DeclareQueueRequest;
import entrepot.v1.Delivery;
import entrepot.v1.GetTopicRequest;
import entrepot.v1.Live;
import entrepot.v1.Message;
import entrepot.v1.Offsets;
import entrepot.v1.Open;
import entrepot.v1.PublishRequest;
import entrepot.v1.PublishStreamRequest;
import entrepot.v1.PublishStreamResponse;
import entrepot.v1.PublisherGrpc;
import entrepot.v1.Queue;
import entrepot.v1.RequestRequest;
import entrepot.v1.RequestsGrpc;
import entrepot.v1.Settle;
import entrepot.v1.Settlement;
import entrepot.v1.Start;
import entrepot.v1.SubscribeRequest;
import entrepot.v1.SubscribeResponse;
import entrepot.v1.SubscriberGrpc;
import entrepot.v1.TopicsGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.BlockingQueue;
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
    queue(channel);
    errors(channel);
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
      check(answer().hasOpened(), "it is opened");
    }

    SubscribeResponse answer() throws InterruptedException {
      Object next = told.next();
      check(next instanceof SubscribeResponse, next);
      return (SubscribeResponse) next;
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

  private static void queue(ManagedChannel channel) throws InterruptedException {
    DeclareQueueRequest declare = DeclareQueueRequest.newBuilder().setName("java-queue").build();
    TopicsGrpc.newBlockingStub(channel).declareQueue(declare);
    Message message = message("job").setQueue("java-queue").build();
    PublisherGrpc.newBlockingStub(channel)
        .publish(PublishRequest.newBuilder().setMessage(message).build());
    Queue.Builder queue = Queue.newBuilder().setName("java-queue");
    Subscribed one = new Subscribed(channel, Open.newBuilder().setQueue(queue).setCredit(10));
    long id = one.next().getId();
    Settlement settlement =
        Settlement.newBuilder().addIds(id).setAction(Action.ACTION_ACCEPT).build();
    Settle settle = Settle.newBuilder().addSettlements(settlement).setConfirm(3).build();
    one.say.onNext(SubscribeRequest.newBuilder().setSettle(settle).build());
    SubscribeResponse answer = one.answer();
    check(answer.getSettled().getConfirm() == 3 && answer.getSettled().getFailuresCount() == 0, answer);
    one.cancel();
    say("queue");
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
