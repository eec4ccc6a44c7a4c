// SPDX-License-Identifier: GPL-2.0
/*
 * A program for the tests to dump: threads that pass things to each other, wait
 * for each other, and leave much for the garbage collector.  What it prints at
 * the end depends on nothing but its first argument, the number of jobs.  It makes
 * the file that the second one names when it begins.
 */
import java.io.File;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

public class ProgJava {
	static final int WORKERS = 4;
	static final ArrayBlockingQueue<int[]> queue = new ArrayBlockingQueue<>(8);
	static final ConcurrentHashMap<Integer, Long> table = new ConcurrentHashMap<>();
	static final AtomicLong sum = new AtomicLong();
	static final CyclicBarrier barrier = new CyclicBarrier(WORKERS);
	static final ReentrantLock lock = new ReentrantLock();
	static final Condition changed = lock.newCondition();
	static int done;
	static long monitored;

	/* Lists, maps and strings that live for a while, and then do not. */
	static long garbage(int seed) {
		ArrayDeque<HashMap<String, byte[]>> kept = new ArrayDeque<>();
		long n = seed, total = 0;

		for (int i = 0; i < 40; i++) {
			HashMap<String, byte[]> map = new HashMap<>();

			for (int j = 0; j < 25; j++) {
				n = n * 6364136223846793005L + 1442695040888963407L;
				map.put("k" + (n >>> 40), new byte[(int)(n >>> 54)]);
			}
			for (var e : map.entrySet())
				total += e.getKey().hashCode() + e.getValue().length;
			kept.add(map);
			if (kept.size() > 10)
				total += kept.poll().size();
		}
		return total;
	}

	static void work() {
		try {
			for (;;) {
				int[] job = queue.take();

				if (job.length == 0)
					break;
				long result = garbage(job[0]);

				sum.addAndGet(result);
				table.merge(job[0] % 100, result, Long::sum);
				synchronized (table) {
					monitored ^= result;
				}
				lock.lock();
				try {
					done++;
					changed.signalAll();
				} finally {
					lock.unlock();
				}
			}
			barrier.await();
		} catch (Exception e) {
			e.printStackTrace();
			System.exit(1);
		}
	}

	public static void main(String[] args) throws Exception {
		int jobs = Integer.parseInt(args[0]);
		Thread[] threads = new Thread[WORKERS];
		long total = 0;

		new File(args[1]).createNewFile();
		for (int i = 0; i < WORKERS; i++) {
			threads[i] = new Thread(ProgJava::work);
			threads[i].start();
		}
		for (int i = 0; i < jobs; i++) {
			queue.put(new int[] { i * 7919 });
			if (i % 50 == 49) {
				/* All is done now and then. */
				lock.lock();
				try {
					while (done <= i)
						changed.await();
				} finally {
					lock.unlock();
				}
				System.gc();
			}
		}
		for (int i = 0; i < WORKERS; i++)
			queue.put(new int[0]);
		for (Thread t : threads)
			t.join();
		/*
		 * The table itself has no order: two threads that count a new entry
		 * at the same time leave it smaller than others would.
		 */
		for (var e : new TreeMap<>(table).entrySet())
			total = total * 31 + e.getValue();
		System.out.println(done + " " + sum + " " + total + " " + monitored);
	}
}
